// Dense predictions for images: a class or a number per pixel, resized to the image.

import { afterEvents } from '../backend/after-events.js';
import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { inSlices } from '../core/slices.js';
import { Tensor } from '../core/tensor.js';
import type { ModelOutput } from '../models/inputs.js';
import { inferenceAsync } from '../nn/inference-async.js';
import { inference } from '../nn/module.js';
import { argmax, max } from '../ops/axis.js';
import { interpolate } from '../ops/interpolate.js';
import { slice } from '../ops/move.js';
import type { ImageBytes } from '../pretrained/processors/image.js';
import { decoded, type ImageInput, processorOf } from './image-inputs.js';
import type { CallOptions, TaskContext } from './task.js';

/** Height and width of a map. */
export type MapSize = readonly [height: number, width: number];

/** Maximum number of values of a map that are on the device at one time. */
const PART = 1 << 26;

/** Applies `read` to the model's output for each image, one by one, because their maps differ in size. */
export async function eachImage<Result>(
  context: TaskContext,
  images: readonly ImageInput[],
  { signal, onProgress }: CallOptions,
  read: (output: ModelOutput, image: ImageBytes) => Promise<Result>,
): Promise<Result[]> {
  const { model, task } = context;
  const processor = processorOf(context);
  const results: Result[] = [];
  for (const input of images) {
    signal?.throwIfAborted();
    const image = await decoded(task, input, signal);
    const { data, shape } = await inSlices(processor.processInParts([image]));
    await new Promise<void>((resolve) => afterEvents(resolve));
    const kept: Tensor[] = [];
    try {
      const output = await inferenceAsync(model, () =>
        model.forwardInParts({ pixelValues: model.device.tensor(data, shape) }),
      );
      kept.push(
        ...Object.values(output)
          .flat()
          .filter((value): value is Tensor => value instanceof Tensor),
      );
      results.push(await read(output, image));
    } finally {
      for (const tensor of kept) tensor.dispose();
    }
    onProgress?.({ done: results.length, total: images.length });
  }
  return results;
}

/** Resizes a map [1, H, W] by bilinear interpolation. */
export async function resizedMap(map: Tensor, size: MapSize): Promise<Float32Array> {
  const resized = inference(map, () =>
    interpolate(map.reshape(1, 1, ...(map.shape.slice(-2) as unknown as MapSize)), { size, mode: 'bilinear' }),
  );
  try {
    return (await resized.data()) as Float32Array;
  } finally {
    resized.dispose();
  }
}

/** Resizes logits [1, classes, H, W] and returns the best class of each pixel, row by row. */
export async function classMap(logits: Tensor, size: MapSize): Promise<Int32Array> {
  const classes = logits.shape[1] as number;
  const pixels = size[0] * size[1];
  const step = Math.max(1, Math.floor(PART / pixels));
  const best = new Float32Array(pixels).fill(Number.NEGATIVE_INFINITY);
  const found = new Int32Array(pixels);
  for (let first = 0; first < classes; first += step) {
    const end = Math.min(classes, first + step);
    const [values, ids] = inference(logits, () => {
      const part = interpolate(slice(logits, 1, first, end), { size, mode: 'bilinear' });
      return [max(part, { axis: 1 }), argmax(part, { axis: 1 })] as const;
    });
    try {
      const [greatest, bestClasses] = (await Tensor.dataOf([values, ids])) as [Float32Array, Int32Array];
      for (let i = 0; i < pixels; i++) {
        if ((greatest[i] as number) <= (best[i] as number)) continue;
        best[i] = greatest[i] as number;
        found[i] = first + (bestClasses[i] as number);
      }
    } finally {
      values.dispose();
      ids.dispose();
    }
  }
  return found;
}

/** Returns the size of the map for each image. Throws ArgumentError for other values. */
export function targetSizes(task: string, sizes: unknown, count: number): readonly MapSize[] | null {
  if (sizes === undefined || sizes === null) return null;
  const isSize = (size: unknown) =>
    Array.isArray(size) &&
    size.length === 2 &&
    size.every((side) => Number.isInteger(side) && side > 0 && side <= 1 << 16);
  if (Array.isArray(sizes) && sizes.length === count && sizes.every(isSize)) return sizes as MapSize[];
  throw new ArgumentError(
    `${task}: target_sizes is ${describeValue(sizes)}, expected [height, width] for each of ${count} images`,
  );
}
