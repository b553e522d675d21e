// SAM's masks in the size of the images.

import { checkOptions, describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { Processor } from '../../pretrained/processors/load-processor.js';
import { SamImageProcessor } from '../../pretrained/processors/sam-images.js';
import { bilinear, type MapSize } from '../bilinear.js';
import { HostTensor } from '../host-tensor.js';
import type { TransformersInputs } from './model-inputs.js';

/** Settings of `post_process_masks`. */
export interface MaskOptions {
  /** Pixels with greater logits are 1. Default: 0. */
  mask_threshold?: number | undefined;
  /** False returns logits. Default: true. */
  binarize?: boolean | undefined;
}

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
    const [size, part] = [originals[image] as MapSize, reshaped[image] as MapSize];
    const area = size[0] * size[1];
    const logits = new Float32Array(prompts * count * area);
    for (let i = 0; i < prompts * count; i++) {
      const start = (image * prompts * count + i) * height * width;
      const mask = masks.data.subarray(start, start + height * width);
      const padded = bilinear(mask, [height, width], [height, width], processor.padded);
      logits.set(bilinear(padded, processor.padded, part, size), i * area);
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
