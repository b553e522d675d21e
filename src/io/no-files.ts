import { SimdformerError } from '../core/errors.js';

/** Replaces functions that read or write files in pages, and in bundles for pages. */
export async function refuse(): Promise<never> {
  throw new SimdformerError(
    'a page has no files: models come and go by toFiles, fromFiles and URLs, safetensors as bytes',
  );
}
