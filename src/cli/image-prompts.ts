// Continues texts about images: `run --image`.

import type { GenerateOptions } from '../generate/generate-options.js';
import { decodeImage } from '../pretrained/processors/decode-image.js';
import { openDevice } from './common.js';
import { inputTexts } from './given-texts.js';
import { checkReadable, withFile } from './lines.js';
import { stopping } from './stopping.js';
import { loadPipeline } from './text-jobs.js';

/** Generates for each text, and prints the output. The prompt has all images before the text. */
export async function continueAboutImages(
  model: string,
  texts: readonly string[],
  images: readonly string[],
  settings: GenerateOptions,
  command: Parameters<typeof openDevice>[0],
): Promise<void> {
  await checkReadable(images);
  const decodedImages = await Promise.all(images.map((image) => withFile(image, decodeImage)));
  using device = await openDevice(command);
  using stop = stopping();
  await using generate = await loadPipeline('image-text-to-text', model, { device, revision: undefined, stop });
  for await (const batch of inputTexts(texts, stop.signal)) {
    for (const text of batch) {
      const results = await generate(decodedImages, text.read(), { ...settings, signal: stop.signal });
      for (const { generated_text } of results) console.log(generated_text);
    }
  }
}
