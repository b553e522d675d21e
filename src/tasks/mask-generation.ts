// Masks by SAM: of everything in an image, or of the objects that points and boxes mark.

import { afterEvents } from '../backend/after-events.js';
import { checkOptions, describeValue, type OptionRule } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import { atOnce, inSlices } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import { Sam } from '../models/families/sam.js';
import type { ModelInputs } from '../models/inputs.js';
import { inferenceAsync } from '../nn/inference-async.js';
import { inference } from '../nn/module.js';
import { contiguous } from '../ops/contiguous.js';
import { interpolate } from '../ops/interpolate.js';
import { slice } from '../ops/move.js';
import { type ImageBytes, rgbOf } from '../pretrained/processors/image.js';
import { SamImageProcessor } from '../pretrained/processors/sam-images.js';
import { callOptionKinds } from './batches.js';
import { decoded, type ImageInput, imagesOf } from './image-inputs.js';
import {
  type Box,
  type Crop,
  cropsOf,
  distinct,
  gridOf,
  type Mask,
  maskOf,
  type RunMask,
  runsOf,
} from './mask-filters.js';
import { type CallOptions, NO_TEXT, type TaskContext, type TextlessTask } from './task.js';
import type { RawImage } from './transformers/raw-image.js';

/** Options of transformers' pipeline, with its names and defaults. */
export interface MaskGenerationOptions extends CallOptions {
  /** Number of points that the decoder reads at a time. Default: 64. */
  points_per_batch?: number | undefined;
  /** Number of points on each side of the grid. Default: 32. */
  points_per_crop?: number | undefined;
  /** Number of layers of crops. Layer i has 2ⁱ × 2ⁱ overlapping crops of the image. Default: 0. */
  crops_n_layers?: number | undefined;
  /** Overlap of crops in the first layer, in fractions of the image's shorter side. Default: 512/1500. */
  crop_overlap_ratio?: number | undefined;
  /** Divisor of the number of points on a side, in each further layer. Default: 1. */
  crop_n_points_downscale_factor?: number | undefined;
  /**
   * Masks with a greater predicted IoU are returned. Default: 0.88; for given points and boxes, all masks are returned.
   */
  pred_iou_thresh?: number | undefined;
  /**
   * Masks with a greater stability are returned. Stability is the IoU of the masks at a higher and a lower threshold.
   * Default: 0.95.
   */
  stability_score_thresh?: number | undefined;
  /** Distance of these thresholds from `mask_threshold`. Default: 1. */
  stability_score_offset?: number | undefined;
  /** Pixels with greater logits are part of a mask. Default: 0. */
  mask_threshold?: number | undefined;
  /** IoU of two boxes above which the worse mask is left out. Default: 0.7. */
  crops_nms_thresh?: number | undefined;
  /** True to return the masks also in run-length encoding, column by column. Default: false. */
  output_rle_mask?: boolean | undefined;
  /** True to return the box around each mask. Default: false. */
  output_bboxes_mask?: boolean | undefined;
  /**
   * Points in pixels of the image, [prompts][points][x, y]. All three masks of each prompt are returned. Default: a
   * grid.
   */
  input_points?: readonly (readonly (readonly number[])[])[] | undefined;
  /** For each point: 1 for the object, 0 for the background. Default: 1. */
  input_labels?: readonly (readonly number[])[] | undefined;
  /** Boxes in pixels of the image, [prompts][left, upper, right, lower]. Default: none. */
  input_boxes?: readonly (readonly number[])[] | undefined;
}

export interface GeneratedMasks {
  /** One byte per pixel: 255 in the mask, 0 elsewhere. The best mask comes first; masks of prompts keep their order. */
  readonly masks: RawImage[];
  /** Predicted IoU of each mask with the object. */
  readonly scores: number[];
  readonly rle_mask?: RunMask[];
  /** Left, upper, right and lower edge of each mask, in pixels. */
  readonly bounding_boxes?: Box[];
}

/** Finds masks in an image. An array of images gives an array. */
export interface MaskGeneration {
  (image: ImageInput, options?: MaskGenerationOptions): Promise<GeneratedMasks>;
  (images: readonly ImageInput[], options?: MaskGenerationOptions): Promise<GeneratedMasks[]>;
}

const TASK = 'mask-generation';

/** Maximum number of points on a side, which is a grid of a million points. */
const MAX_POINTS = 1024;
const upTo = (min: number, max: number): OptionRule => ({
  accepts: (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
  expected: `an integer from ${min} to ${max}`,
});

const kinds = {
  ...callOptionKinds,
  points_per_batch: 'count',
  points_per_crop: upTo(1, MAX_POINTS),
  crops_n_layers: upTo(0, 4),
  crop_overlap_ratio: 'share',
  crop_n_points_downscale_factor: 'count',
  pred_iou_thresh: 'share',
  stability_score_thresh: 'share',
  stability_score_offset: 'notNegative',
  mask_threshold: 'number',
  crops_nms_thresh: 'share',
  output_rle_mask: 'boolean',
  output_bboxes_mask: 'boolean',
  input_points: 'array',
  input_labels: 'array',
  input_boxes: 'array',
} as const;

/** A segmentation model with its processor. */
interface SamContext {
  readonly model: Sam;
  readonly processor: SamImageProcessor;
}

export const maskGeneration: TextlessTask<MaskGeneration> = {
  needs: NO_TEXT,
  create: (context) => {
    const sam = samOf(context);
    async function call(images: ImageInput | readonly ImageInput[], options: MaskGenerationOptions = {}) {
      checkOptions(TASK, options, kinds);
      const list = imagesOf(TASK, images);
      const results: GeneratedMasks[] = [];
      for (const image of list) {
        options.signal?.throwIfAborted();
        const raw = await decoded(TASK, image, options.signal);
        results.push(outputOf(await masksOf(sam, raw, options), options));
        options.onProgress?.({ done: results.length, total: list.length });
      }
      return Array.isArray(images) ? results : (results[0] as GeneratedMasks);
    }
    return call as MaskGeneration;
  },
};

function samOf({ model, task }: TaskContext): SamContext {
  const { processor, config } = model as { processor: object | null; config: { model_type?: unknown } };
  if (!((model as object) instanceof Sam))
    throw new FormatError(`${task}: the model is ${config.model_type}, expected SAM`);
  if (processor instanceof SamImageProcessor) return { model: model as unknown as Sam, processor };
  throw new FormatError(
    `${task}: the model's folder has no preprocessor_config.json, which says how images are resized`,
  );
}

function outputOf(
  masks: readonly Mask[],
  { output_rle_mask, output_bboxes_mask }: MaskGenerationOptions,
): GeneratedMasks {
  return {
    masks: masks.map(({ image }) => image),
    scores: masks.map(({ score }) => score),
    ...(output_rle_mask ? { rle_mask: masks.map(({ image }) => runsOf(image)) } : {}),
    ...(output_bboxes_mask ? { bounding_boxes: masks.map(({ box }) => box) } : {}),
  };
}

async function masksOf(sam: SamContext, raw: ImageBytes, options: MaskGenerationOptions): Promise<readonly Mask[]> {
  const { input_points, input_labels, input_boxes, crops_nms_thresh = 0.7 } = options;
  if (input_labels !== undefined && input_points === undefined)
    throw new ArgumentError(`${TASK}: input_labels are given without input_points, expected an array of each`);
  if (input_points !== undefined || input_boxes !== undefined) return promptedMasks(sam, raw, options);
  const found: Mask[] = [];
  for (const crop of cropsOf(raw, options)) found.push(...(await cropMasks(sam, raw, crop, options)));
  return distinct(found, crops_nms_thresh);
}

/** Returns the masks of a grid of points over a crop. */
async function cropMasks(
  sam: SamContext,
  raw: ImageBytes,
  crop: Crop,
  options: MaskGenerationOptions,
): Promise<Mask[]> {
  const {
    points_per_batch: batch = 64,
    pred_iou_thresh: quality = 0.88,
    stability_score_thresh: stability = 0.95,
  } = options;
  const { mask_threshold: threshold = 0, stability_score_offset: offset = 1, signal } = options;
  const [left, top, right, bottom] = crop.box;
  const part = cropImage(raw, crop.box);
  const points = gridOf(crop.points);
  const found: Mask[] = [];
  const whole: Box = [0, 0, raw.width, raw.height];
  await withEncoded(sam, part, async (encoded) => {
    for (let first = 0; first < points.length; first += batch) {
      signal?.throwIfAborted();
      const batchPoints = points.slice(first, first + batch);
      const coordinates = batchPoints.flatMap(([x, y]) => [
        Math.fround(x * part.width) * encoded.scales[0],
        Math.fround(y * part.height) * encoded.scales[1],
      ]);
      const inputPoints = Float32Array.from(coordinates);
      const prompts = { inputPoints: { data: inputPoints, shape: [1, batchPoints.length, 1, 2] } };
      await eachMask(sam, encoded, prompts, quality, async (logits, score) => {
        const size = [right - left, bottom - top] as const;
        const mask = await inSlices(maskOf(logits, size, { threshold, offset, stability }, crop.box, whole));
        if (mask) found.push({ ...mask, score });
      });
    }
  });
  return found;
}

/** Returns all masks of given points and boxes. */
async function promptedMasks(sam: SamContext, raw: ImageBytes, options: MaskGenerationOptions): Promise<Mask[]> {
  const { mask_threshold: threshold = 0, stability_score_offset: offset = 1, pred_iou_thresh: quality = 0 } = options;
  const { stability_score_thresh: stability = 0 } = options;
  const whole: Box = [0, 0, raw.width, raw.height];
  const found: Mask[] = [];
  await withEncoded(sam, raw, (encoded) =>
    eachMask(sam, encoded, promptsOf(options, encoded.scales), quality, async (logits, score) => {
      const size = [raw.width, raw.height] as const;
      const mask = await inSlices(maskOf(logits, size, { threshold, offset, stability }, whole, whole));
      if (mask) found.push({ ...mask, score });
    }),
  );
  return found;
}

/** Values and shape of a tensor. */
interface Numbers {
  readonly data: Float32Array | Int32Array;
  readonly shape: readonly number[];
}

/** Converts points and boxes to the model's inputs. Throws ArgumentError for lists of other shapes. */
function promptsOf(
  { input_points: points, input_labels: labels, input_boxes: boxes }: MaskGenerationOptions,
  scales: readonly [number, number],
): Record<string, Numbers> {
  const prompts: Record<string, Numbers> = {};
  const scaled = (coordinates: readonly number[]) =>
    Float32Array.from(coordinates, (coordinate, i) => coordinate * (scales[i % 2] as number));
  if (points !== undefined) {
    const shape = shapeOf('input_points', points, 3, [undefined, undefined, 2]);
    prompts.inputPoints = { data: scaled((points as readonly (readonly number[])[][]).flat(2)), shape: [1, ...shape] };
    if (labels !== undefined) {
      const labelShape = shapeOf('input_labels', labels, 2, shape);
      prompts.inputLabels = { data: Int32Array.from(labels.flat()), shape: [1, ...labelShape] };
    }
  }
  if (boxes !== undefined)
    prompts.inputBoxes = {
      data: scaled((boxes as readonly (readonly number[])[]).flat()),
      shape: [1, ...shapeOf('input_boxes', boxes, 2, [undefined, 4])],
    };
  return prompts;
}

/**
 * Returns the shape of nested lists of numbers. Throws ArgumentError unless it is regular and has the sizes `wanted`.
 */
function shapeOf(name: string, list: unknown, depth: number, wanted: readonly (number | undefined)[]): number[] {
  const shape: number[] = [];
  let level: readonly unknown[] = [list];
  for (let i = 0; i < depth; i++) {
    const size = Array.isArray(level[0]) ? level[0].length : 0;
    if (
      size === 0 ||
      (wanted[i] ?? size) !== size ||
      level.some((item) => !Array.isArray(item) || item.length !== size)
    )
      throw new ArgumentError(
        `${TASK}: ${name} is ${describeValue(list)}, expected lists of equal lengths, ${depth} levels deep`,
      );
    shape.push(size);
    level = level.flat() as readonly unknown[];
  }
  const wrong = level.find((value) => !Number.isFinite(value));
  if (level.some((value) => !Number.isFinite(value)))
    throw new ArgumentError(`${TASK}: ${name} has ${describeValue(wrong)}, expected numbers`);
  return shape;
}

/** An image with its embeddings, and the factors from its pixels to those of the model's input. */
interface EncodedImage {
  readonly image: ImageBytes;
  readonly embeddings: Tensor;
  readonly scales: readonly [number, number];
}

/** Encodes an image, calls `use` with the result, and frees the embeddings. */
async function withEncoded(
  { model, processor }: SamContext,
  image: ImageBytes,
  use: (encoded: EncodedImage) => Promise<void>,
): Promise<void> {
  const { data, shape } = await inSlices(processor.processInParts([image]));
  await new Promise<void>((resolve) => afterEvents(resolve));
  const embeddings = await inferenceAsync(model, () => model.imageEmbeddingsInParts(model.device.tensor(data, shape)));
  try {
    const { width, height } = processor.sizeFor(image);
    await use({ image, embeddings, scales: [width / image.width, height / image.height] });
  } finally {
    embeddings.dispose();
  }
}

/** Calls a function with the logits of each mask of at least this quality, resized to the image, [height · width]. */
async function eachMask(
  { model, processor }: SamContext,
  { image, embeddings: imageEmbeddings }: EncodedImage,
  prompts: Record<string, Numbers>,
  minQuality: number,
  use: (logits: Float32Array, score: number) => Promise<void>,
): Promise<void> {
  const { device } = model;
  const [masks, qualities] = await inferenceAsync(model, function* () {
    const inputs: ModelInputs = { imageEmbeddings };
    for (const [name, { data, shape }] of Object.entries(prompts))
      inputs[name as 'inputPoints'] = device.tensor(data, shape as number[]);
    const { predMasks, iouScores } = yield* model.forwardInParts(inputs);
    const [, , , height, width] = (predMasks as Tensor).shape as [number, number, number, number, number];
    return [(predMasks as Tensor).reshape(-1, 1, height, width), iouScores as Tensor] as const;
  });
  try {
    const scores = (await qualities.data()) as Float32Array;
    const scaledSize = processor.sizeFor(image);
    for (const [i, score] of scores.entries()) {
      if (minQuality > 0 && !(score > minQuality)) continue;
      const resized = inference(model, () => {
        const padded = interpolate(slice(masks, 0, i, i + 1), { size: processor.padded, mode: 'bilinear' });
        const cropped = contiguous(slice(slice(padded, 2, 0, scaledSize.height), 3, 0, scaledSize.width));
        return interpolate(cropped, { size: [image.height, image.width], mode: 'bilinear' });
      });
      try {
        await use((await resized.data()) as Float32Array, score);
      } finally {
        resized.dispose();
      }
    }
  } finally {
    masks.dispose();
    qualities.dispose();
  }
}

/** Returns a part of an image. */
function cropImage(raw: ImageBytes, [left, top, right, bottom]: Box): ImageBytes {
  const { width, data } = atOnce(rgbOf(raw));
  const [wide, high] = [right - left, bottom - top];
  const part = new Uint8Array(wide * high * 3);
  for (let y = 0; y < high; y++) {
    const from = ((top + y) * width + left) * 3;
    part.set(data.subarray(from, from + wide * 3), y * wide * 3);
  }
  return { width: wide, height: high, data: part };
}
