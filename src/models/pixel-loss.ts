// The loss of models that label each pixel of an image.

import { checkDType, describeShape, describeValue } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { lastOf, Tensor } from '../core/tensor.js';
import type { GridSize } from '../nn/interpolation.js';
import { crossEntropy } from '../ops/cross-entropy.js';
import { interpolate } from '../ops/interpolate.js';
import { bceWithLogits } from '../ops/losses.js';
import type { ModelInputs } from './inputs.js';

/**
 * Returns the loss of logits [B, H, W, labels], resized to the size of `labels`, int32 [B, height, width]. Places of
 * the label `ignored` do not count. Throws ShapeError, ArgumentError, DTypeError.
 */
export function pixelLoss(logits: Tensor, labels: NonNullable<ModelInputs['labels']>, ignored: number): Tensor {
  const size = gridOf(labels, logits.shape[0] as number);
  const upsampled = interpolate(logits, { size, mode: 'bilinear', channelsLast: true });
  const [rows, classes] = [upsampled.reshape(-1, lastOf(logits.shape)), (labels as Tensor).reshape(-1)];
  if (lastOf(logits.shape) > 1) return crossEntropy(rows, classes, { ignoreIndex: ignored });
  const values = Float32Array.from(classes.dataSync());
  const known = values.map((value) => (value >= 0 && value !== ignored ? 1 : 0));
  const column = (numbers: Float32Array) => rows.device.tensor(numbers, [numbers.length, 1]);
  return bceWithLogits(rows, column(values), { weight: column(known) });
}

/** Returns height and width of a map of labels. Throws ShapeError, ArgumentError, DTypeError. */
function gridOf(labels: unknown, batch: number): GridSize {
  if (!(labels instanceof Tensor))
    throw new ArgumentError(`forward: labels is ${describeValue(labels)}, expected an int32 tensor [B, height, width]`);
  checkDType('forward', 'labels', labels, 'int32');
  const { shape } = labels;
  if (shape.length === 3 && shape[0] === batch) return shape.slice(1) as unknown as GridSize;
  throw new ShapeError(`forward: labels is ${describeShape(shape)}, expected [${batch}, height, width]`);
}
