// Access to Node, which may be absent.

/** True if Node's own modules exist: in Node, Bun and Deno, but not in Cloudflare's workerd, which may look similar. */
export const isNode: boolean =
  typeof process !== 'undefined' &&
  process.versions?.node !== undefined &&
  globalThis.navigator?.userAgent !== 'Cloudflare-Workers';

/** A URL relative to a module's `import.meta.url`, in a form that bundlers do not look for. */
export function besides(moduleUrl: string, path: string): URL {
  return new URL(path, moduleUrl);
}

/** One of Node's own modules, named so that bundlers for browsers do not look for it. */
export function nodeModule<T>(name: string): Promise<T> {
  return import(/* @vite-ignore */ /* webpackIgnore: true */ `node:${name}`) as Promise<T>;
}

/** An environment variable that is set and not empty; none of them are where the runtime forbids to look, as Deno may. */
export function environment(name: string): string | undefined {
  if (!isNode) return undefined;
  try {
    return process.env[name] || undefined;
  } catch {
    return undefined;
  }
}
