import { SimdformerError } from '../core/errors.js';

/** Replaces functions that read or write files in pages, and in bundles for pages. */
export async function refuse(): Promise<never> {
  throw new SimdformerError(
    'a page has no file system: load models by URL or fromFiles, save them by toFiles, and pass safetensors as bytes',
  );
}
