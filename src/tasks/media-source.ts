// Sources of audio and images.

import { isNode } from '../backend/node.js';
import { describeValue } from '../core/check.js';
import { ArgumentError, FetchError } from '../core/errors.js';
import { isBlob, isTyped, isUrl } from '../core/kinds.js';
import { readWhole } from '../io/file.js';
import { fetchFile, pathOf, remoteUrl } from '../io/folder.js';

/** A file: its content, a path in Node, or a URL. */
export type MediaFile = Uint8Array | ArrayBuffer | Blob | string | URL;

/**
 * Reads the bytes of a file. Rejects with ArgumentError for other values, and FetchError if the network or the server
 * fails. Rejects with the system's error if the file cannot be read, and with the reason of `signal`.
 */
export async function bytesOf(task: string, file: MediaFile, signal?: AbortSignal): Promise<Uint8Array> {
  if (isTyped(file, 'Uint8Array')) return file;
  if (isBlob(file)) return new Uint8Array(await file.arrayBuffer());
  if (file instanceof ArrayBuffer) return new Uint8Array(file);
  if (!(typeof file === 'string' || isUrl(file))) {
    const expected = 'a path, a URL, a Blob or bytes';
    throw new ArgumentError(`${task}: the file is ${describeValue(file)}, expected ${expected}`);
  }
  const url = remoteUrl(file);
  if (url === null && isNode) {
    return readWhole(await pathOf(file), signal);
  }
  const found = await fetchFile(url as URL, false, signal);
  if (typeof found === 'string') throw new FetchError(`${task}: the file is not there${found}`);
  return found;
}

/** True for a `MediaFile`. */
export function isMediaFile(value: unknown): value is MediaFile {
  return (
    typeof value === 'string' ||
    value instanceof ArrayBuffer ||
    isTyped(value, 'Uint8Array') ||
    isBlob(value) ||
    isUrl(value)
  );
}
