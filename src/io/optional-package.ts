// Packages that only some programs need. They are optional peers: npm installs none of them by itself.

import { SimdformerError } from '../core/errors.js';

/** Packages of each part of simdformer. */
const PACKAGES = {
  'simdformer mcp': ['@modelcontextprotocol/sdk@1'],
  'simdformer/server': ['hono@4', '@hono/node-server@2', 'pino@10', 'prom-client@15'],
  'A file of columns (CSV or TSV)': ['csv-parse@7'],
  'A Parquet file': ['hyparquet@1'],
  'An MP3 file': ['@audio/decode-mp3@1'],
  'A FLAC file': ['@audio/decode-flac@1'],
  'An Ogg Vorbis file': ['@audio/decode-vorbis@1'],
  'An Opus file': ['@audio/decode-opus@1'],
  'A WebM file': ['@audio/decode-webm@1'],
} as const;

/** A package of a part is not installed. */
export class MissingPackageError extends SimdformerError {
  override get name() {
    return 'MissingPackageError';
  }
}

/**
 * Imports a package for `part`. Throws MissingPackageError with the command that installs all packages of the part, if
 * this one is missing.
 */
export async function loadOptional<Module>(part: keyof typeof PACKAGES, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    const [, name = ''] = /package '([^']+)'/.exec((cause as Error).message) ?? [];
    throw new MissingPackageError(
      `${part} needs packages that are not installed${name && `, such as ${name}`}: npm install ${PACKAGES[part].join(' ')}`,
      { cause },
    );
  }
}

/** Imports a package that only Node needs. The function hides its name from bundlers for pages. */
export function importPackage<Module>(name: string): Promise<Module> {
  return import(/* @vite-ignore */ /* webpackIgnore: true */ name) as Promise<Module>;
}
