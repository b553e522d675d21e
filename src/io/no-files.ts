import { SimdformerError } from '../core/errors.js';

/** Stands in pages, and in bundles for them, for each function that reads or writes files. */
export async function refuse(): Promise<never> {
  throw new SimdformerError(
    'a page has no files: models come and go by toFiles, fromFiles and URLs, safetensors as bytes',
  );
}
