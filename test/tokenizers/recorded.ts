import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** Values that a script beside this file has recorded. */
export function recordedIn<T>(name: string): T {
  return JSON.parse(gunzipSync(readFileSync(new URL(name, import.meta.url))).toString()) as T;
}
