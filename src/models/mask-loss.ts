// The loss of masks that are matched with those of targets (Carion et al. 2020, arXiv 2005.12872).

import { describeShape } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import { sigmoid } from '../ops/activation.js';
import { add, div, mul, scale } from '../ops/binary.js';
import { interpolate } from '../ops/interpolate.js';
import { bceWithLogits } from '../ops/losses.js';
import { gather } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { countOf, type Match } from './detection-matching.js';
import type { DetectionTarget } from './inputs.js';
import type { ModelConfig } from './model-config.js';

/** Share of pixels inside objects in the focal loss. */
const ALPHA = 0.25;

/** The masks of a target, row by row. */
interface Masks {
  readonly data: ArrayLike<number>;
  readonly height: number;
  readonly width: number;
}

/**
 * The focal loss (Lin et al. 2017, arXiv 1708.02002) and 1 less the overlap by Dice (Milletari et al. 2016, arXiv
 * 1606.04797) of matched masks. `predicted`: logits [B, queries, height, width], which are resized to the largest
 * target. Smaller targets get zeros below and at the right. Throws ArgumentError, ShapeError.
 */
export function maskLoss(
  predicted: Tensor,
  targets: readonly DetectionTarget[],
  matches: readonly Match[],
  config: ModelConfig,
): Tensor {
  const { device } = predicted;
  const masks = targets.map(masksOf);
  if (matches.length === 0) return device.zeros([]);
  const [batch, queries, height, width] = predicted.shape as [number, number, number, number];
  const max = (side: 'height' | 'width') => masks.reduce((size, mask) => Math.max(size, mask[side]), 1);
  const size = [max('height'), max('width')] as const;
  const rows = Int32Array.from(matches, ({ image, query }) => image * queries + query);
  const found = gather(predicted.reshape(batch * queries, height * width), device.tensor(rows));
  const shape = [matches.length, size[0] * size[1]];
  const resized = interpolate(found.reshape(matches.length, 1, height, width), { size, mode: 'bilinear' });
  const logits = resized.reshape(shape);
  const wanted = device.tensor(padded(masks, matches, size), shape);

  const share = sigmoid(logits);
  const isWrong = add(share, mul(wanted, add(scale(share, -2), 1))); // the probability of the other value
  const weight = add(scale(wanted, 2 * ALPHA - 1), 1 - ALPHA);
  const perElement = bceWithLogits(logits, wanted, { weight, reduction: 'none' });
  const focal = scale(sum(mul(perElement, mul(isWrong, isWrong))), 1 / (size[0] * size[1]));
  const both = add(scale(sum(mul(share, wanted), { axis: 1 }), 2), 1);
  const all = add(add(sum(share, { axis: 1 }), sum(wanted, { axis: 1 })), 1);
  const dice = add(scale(sum(div(both, all)), -1), matches.length);
  const weighted = add(
    scale(focal, config.number('mask_loss_coefficient')),
    scale(dice, config.number('dice_loss_coefficient')),
  );
  return scale(weighted, 1 / countOf(targets));
}

function masksOf({ masks, classLabels }: DetectionTarget, i: number): Masks {
  if (masks === undefined)
    throw new ArgumentError(`forward: labels[${i}] has no masks, expected one for each of its classes`);
  const expected = `[${classLabels.length}, height, width]`;
  if (masks instanceof Tensor) {
    const [count, height = 0, width = 0] = masks.shape;
    if (masks.shape.length === 3 && count === classLabels.length) return { data: masks.dataSync(), height, width };
    throw new ShapeError(`forward: masks of labels[${i}] are ${describeShape(masks.shape)}, expected ${expected}`);
  }
  const [height, width] = [masks[0]?.length ?? 0, masks[0]?.[0]?.length ?? 0];
  const isWhole = masks.every((mask) => mask.length === height && mask.every((row) => row.length === width));
  if (!isWhole || masks.length !== classLabels.length)
    throw new ShapeError(`forward: masks of labels[${i}] differ in size or are ${masks.length}, expected ${expected}`);
  return { data: masks.flat(2), height, width };
}

/** The masks of matched targets in images of one size, row by row. */
function padded(
  masks: readonly Masks[],
  matches: readonly Match[],
  [height, width]: readonly [number, number],
): Float32Array {
  const values = new Float32Array(matches.length * height * width);
  matches.forEach(({ image, target }, i) => {
    const imageMasks = masks[image] as Masks;
    for (let y = 0; y < imageMasks.height; y++)
      for (let x = 0; x < imageMasks.width; x++)
        values[(i * height + y) * width + x] = imageMasks.data[
          (target * imageMasks.height + y) * imageMasks.width + x
        ] as number;
  });
  return values;
}
