// SAM's masks in the size of the images.

import { checkOptions, describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { Processor } from '../../pretrained/processors/load-processor.js';
import { SamImageProcessor } from '../../pretrained/processors/sam-images.js';
import { HostTensor } from '../host-tensor.js';
import type { TransformersInputs } from './model-inputs.js';

/** Settings of `post_process_masks`. */
export interface MaskOptions {
  /** Pixels with greater logits are 1. Default: 0. */
  mask_threshold?: number | undefined;
  /** False returns logits. Default: true. */
  binarize?: boolean | undefined;
}

type Size = readonly [height: number, width: number];

/** See `TransformersProcessor.post_process_masks`. */
export async function postProcessMasks(
  processor: Processor | null,
  masks: HostTensor,
  originals: TransformersInputs['original_sizes'],
  reshaped: TransformersInputs['reshaped_input_sizes'],
  options: MaskOptions = {},
): Promise<(HostTensor<Uint8Array> | HostTensor)[]> {
  const { mask_threshold: threshold = 0, binarize = true } = checkOptions('post_process_masks', options, {
    mask_threshold: 'number',
    binarize: 'boolean',
  });
  if (!(processor instanceof SamImageProcessor))
    throw new ArgumentError('post_process_masks: the processor is not that of SAM');
  if (!(masks instanceof HostTensor && masks.dims.length === 5))
    throw new ArgumentError(`post_process_masks: masks are ${describeValue(masks)}, expected pred_masks of SAM`);
  const [images, prompts, count, height, width] = masks.dims as [number, number, number, number, number];
  if (originals?.length !== images || reshaped?.length !== images)
    throw new ArgumentError(
      `post_process_masks: there are ${images} images, expected original_sizes and reshaped_input_sizes of each`,
    );
  return Array.from({ length: images }, (_, image) => {
    const [size, part] = [originals[image] as Size, reshaped[image] as Size];
    const area = size[0] * size[1];
    const logits = new Float32Array(prompts * count * area);
    for (let i = 0; i < prompts * count; i++) {
      const start = (image * prompts * count + i) * height * width;
      const mask = masks.data.subarray(start, start + height * width);
      const padded = resized(mask, [height, width], [height, width], processor.padded);
      logits.set(resized(padded, processor.padded, part, size), i * area);
    }
    const dims = [prompts, count, ...size];
    return binarize
      ? new HostTensor(
          Uint8Array.from(logits, (logit) => (logit > threshold ? 1 : 0)),
          dims,
        )
      : new HostTensor(logits, dims);
  });
}

/** Resizes the upper left part of a map by bilinear interpolation, as torch does without aligned corners. */
function resized(map: Float32Array, [, stride]: Size, part: Size, size: Size): Float32Array {
  const rows = samplesOf(part[0], size[0]);
  const columns = samplesOf(part[1], size[1]);
  const result = new Float32Array(rows.length * columns.length);
  for (const [y, row] of rows.entries())
    for (const [x, column] of columns.entries()) {
      const [upper, lower] = [row.first * stride, row.last * stride];
      const at = (start: number) =>
        (map[start + column.first] as number) * (1 - column.share) +
        (map[start + column.last] as number) * column.share;
      result[y * columns.length + x] = at(upper) * (1 - row.share) + at(lower) * row.share;
    }
  return result;
}

/** The two positions that each of `count` new ones is between, and the share of the second. */
function samplesOf(length: number, count: number) {
  return Array.from({ length: count }, (_, i) => {
    const position = Math.max(0, ((i + 0.5) * length) / count - 0.5);
    const first = Math.min(Math.floor(position), length - 1);
    return { first, last: Math.min(first + 1, length - 1), share: position - first };
  });
}
