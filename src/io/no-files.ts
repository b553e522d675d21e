import { SimdformerError } from '../core/errors.js';

/** What stands in pages, and in what bundlers make for them, for each function that reads or writes files. */
export async function refuse(): Promise<never> {
  throw new SimdformerError(
    'a page has no files: models come and go by toFiles, fromFiles and URLs, safetensors as bytes',
  );
}
