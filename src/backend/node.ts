// Access to Node, which may be absent.

/**
 * True if Node's own modules can be imported: in Node, Bun and Deno. Cloudflare's workerd and the windows of Electron
 * look similar, but `import` finds no modules of Node there.
 */
export const isNode: boolean =
  typeof process !== 'undefined' &&
  process.versions?.node !== undefined &&
  (process as { readonly type?: string }).type !== 'renderer' &&
  globalThis.navigator?.userAgent !== 'Cloudflare-Workers';

/**
 * Returns a URL relative to a module's `import.meta.url`. Bundlers do not recognize this form, so they do not copy the
 * file.
 */
export function siblingUrl(moduleUrl: string, path: string): URL {
  return new URL(path, moduleUrl);
}

/** Imports one of Node's own modules. Bundlers for browsers do not recognize this form. */
export function nodeModule<T>(name: string): Promise<T> {
  return import(/* @vite-ignore */ /* webpackIgnore: true */ `node:${name}`) as Promise<T>;
}

/**
 * Returns an environment variable, or undefined if it is unset or empty, or if the runtime forbids access, as Deno may.
 */
export function environment(name: string): string | undefined {
  if (!isNode) return undefined;
  try {
    return process.env[name] || undefined;
  } catch {
    return undefined;
  }
}
