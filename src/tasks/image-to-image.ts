import { checkOptions } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { callOptionKinds } from './batches.js';
import { type ImageInput, imagesOf, processorOf } from './image-inputs.js';
import { eachImage } from './image-maps.js';
import { type CallOptions, NO_TEXT, type TextlessTask } from './task.js';
import { RawImage } from './transformers/raw-image.js';

/** Makes an image larger or cleaner, as the model was trained. An array of images gives an array. */
export interface ImageToImage {
  (image: ImageInput, options?: CallOptions): Promise<RawImage>;
  (images: readonly ImageInput[], options?: CallOptions): Promise<RawImage[]>;
}

const TASK = 'image-to-image';

export const imageToImage: TextlessTask<ImageToImage> = {
  head: 'image-super-resolution',
  needs: NO_TEXT,
  create: (context) => {
    processorOf(context);
    const { upscale } = context.model.config;
    const factor = typeof upscale === 'number' ? upscale : 1;
    async function call(images: ImageInput | readonly ImageInput[], options: CallOptions = {}) {
      checkOptions(TASK, options, callOptionKinds);
      const results = await eachImage(context, imagesOf(TASK, images), options, async ({ reconstruction }, image) => {
        const { shape } = reconstruction as Tensor; // [1, channels, height, width], with the processor's padding
        const values = (await (reconstruction as Tensor).data()) as Float32Array;
        return shown(values, shape as [number, number, number, number], image.width * factor, image.height * factor);
      });
      return Array.isArray(images) ? results : (results[0] as RawImage);
    }
    return call as ImageToImage;
  },
};

/** The upper left part of planes of values from 0 to 1. */
function shown(
  values: Float32Array,
  [, channels, rows, columns]: readonly [number, number, number, number],
  width: number,
  height: number,
): RawImage {
  const data = new Uint8ClampedArray(width * height * channels); // rounds and clips
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++) data[to++] = (values[(c * rows + y) * columns + x] as number) * 255;
  return new RawImage(data, width, height, channels as 1 | 3);
}
