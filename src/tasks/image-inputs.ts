// Preparation of images for models, and batches of model passes that do not block the event loop.

import { afterEvents } from '../backend/after-events.js';
import { describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import { joinFloats } from '../core/join-floats.js';
import { inSlices } from '../core/slices.js';
import { Tensor } from '../core/tensor.js';
import { TowerModel } from '../models/tower-model.js';
import type { ImageInputs } from '../models/towers.js';
import { inferenceAsync } from '../nn/inference-async.js';
import { decodeImage } from '../pretrained/processors/decode-image.js';
import { type ImageBytes, ImageProcessor } from '../pretrained/processors/image.js';
import { inBatches } from './batches.js';
import { bytesOf, isMediaFile, type MediaFile } from './media-source.js';
import type { CallOptions, TaskContext } from './task.js';
import { type CanvasLike, isCanvas, RawImage } from './transformers/raw-image.js';

/**
 * An image: pixels, a canvas, or a file. A file is a path in Node, a URL, a Blob or bytes. Browsers decode files
 * themselves; Node needs the package sharp.
 */
export type ImageInput = ImageBytes | CanvasLike | MediaFile;

/**
 * Returns the processor of a model that reads single images. Throws FormatError for a model that reads no images, or
 * has no preprocessor_config.json.
 */
export function processorOf({ task, model }: TaskContext): ImageProcessor {
  const { processor, config } = model;
  if (!model.takes('pixelValues'))
    throw new FormatError(`${task}: the model is ${config.model_type}, expected one that reads images`);
  if (processor instanceof ImageProcessor) return processor;
  throw new FormatError(`${task}: the model's folder has no preprocessor_config.json, which says how images are cut`);
}

/** Returns the model of a task with a tower for images, and its processor. Throws FormatError for other models. */
export function visionModelOf(context: TaskContext): { model: TowerModel; processor: ImageProcessor } {
  const { task, model } = context;
  const processor = processorOf(context);
  if (model instanceof TowerModel && model.vision) return { model, processor };
  throw new FormatError(`${task}: the model is ${model.config.model_type}, expected one with a tower for images`);
}

/** Returns one image or several as a list. Throws ArgumentError for the first item that is not an image. */
export function imagesOf(task: string, images: ImageInput | readonly ImageInput[]): readonly ImageInput[] {
  const list: readonly unknown[] = Array.isArray(images) ? images : [images];
  const odd = list.findIndex((image) => !isImage(image));
  if (odd < 0) return list as readonly ImageInput[];
  const name = Array.isArray(images) ? `images[${odd}]` : 'the image';
  const expected = '{ width, height, data }, a canvas, a path, a URL, a Blob or bytes';
  throw new ArgumentError(`${task}: ${name} is ${describeValue(list[odd])}, expected ${expected}`);
}

/** True for an `ImageInput`. */
export const isImage = (value: unknown): value is ImageInput =>
  isMediaFile(value) || isCanvas(value) || (isObject(value) && 'data' in value && 'width' in value);

/**
 * Returns the pixels of an image. Alpha is dropped from files and from a RawImage, as in transformers.js. Throws
 * ArgumentError, and FormatError for a file that is not an image.
 */
export async function decoded(task: string, image: ImageInput, signal?: AbortSignal): Promise<ImageBytes> {
  if (isMediaFile(image)) return decodeImage(await bytesOf(task, image, signal));
  if (isCanvas(image)) return RawImage.fromCanvas(image).rgb();
  return image instanceof RawImage && image.channels % 2 === 0 ? image.clone().rgb() : image;
}

/**
 * Applies `run`, which yields after each layer, to batches of images, and `read` to its result, [images, …], on the
 * host. No tensor stays on the device.
 */
export function runOnImages<Result>(
  context: TaskContext,
  images: readonly ImageInput[],
  options: CallOptions,
  run: (images: ImageInputs) => Generator<unknown, Tensor>,
  read: (values: Float32Array, shape: readonly number[]) => Result,
): Promise<Result[]> {
  const { model } = context;
  const processor = processorOf(context);
  return inBatches(
    images,
    () => 1,
    async (batch) => {
      const pixels: Float32Array[] = [];
      const grids: (readonly number[])[] = [];
      let shape: readonly number[] = [];
      for (const image of batch) {
        const raw = await decoded(context.task, image, options.signal);
        const features = await inSlices(processor.processInParts([raw]));
        const shapeHere = features.shape.slice(1);
        if (pixels.length > 0 && `${shapeHere}` !== `${shape}`)
          throw new ArgumentError(`${context.task}: images become ${shape} and ${shapeHere}: give them one by one`);
        shape = shapeHere;
        pixels.push(features.data);
        grids.push(...(features.spatialShapes ?? []));
        await new Promise<void>((resolve) => afterEvents(resolve));
      }
      const all = joinFloats(pixels);
      const spatialShapes = grids.length > 0 ? grids : undefined;
      const result = await inferenceAsync(model, () => {
        const pixelValues = model.device.tensor(all, [batch.length, ...shape]);
        return run(spatialShapes ? { pixelValues, spatialShapes } : { pixelValues });
      });
      try {
        const [values] = (await Tensor.dataOf([result])) as [Float32Array];
        const itemShape = result.shape.slice(1);
        const size = values.length / batch.length;
        return batch.map((_, i) => read(values.slice(i * size, (i + 1) * size), itemShape));
      } finally {
        result.dispose();
      }
    },
    options,
  );
}
