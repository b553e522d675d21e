// Continues texts about images: `run --image`.

import type { GenerateOptions } from '../generate/generate-options.js';
import { decodeImage } from '../pretrained/processors/decode-image.js';
import { openDevice } from './common.js';
import { givenTexts } from './given-texts.js';
import { checkReadable, withFile } from './lines.js';
import { stopping } from './stopping.js';
import { loadPipeline } from './text-jobs.js';

/** Prints what a model of images and text writes after each text about all of the images. */
export async function continueAboutImages(
  model: string,
  texts: readonly string[],
  images: readonly string[],
  settings: GenerateOptions,
  command: Parameters<typeof openDevice>[0],
): Promise<void> {
  await checkReadable(images);
  const pictures = await Promise.all(images.map((image) => withFile(image, decodeImage)));
  using device = await openDevice(command);
  using stop = stopping();
  await using write = await loadPipeline('image-text-to-text', model, { device, revision: undefined, stop });
  for await (const given of givenTexts(texts, stop.signal)) {
    for (const each of given) {
      const results = await write(pictures, each.read(), { ...settings, signal: stop.signal });
      for (const { generated_text } of results) console.log(generated_text);
    }
  }
}
