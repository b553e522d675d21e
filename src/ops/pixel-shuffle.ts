// Rearrangement between channels and pixels.

import { checkDevice, checkNumber, checkOptions, describeShape, isCount } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { permute } from './move.js';

export interface PixelShuffleOptions {
  /** True for x and result as [B, H, W, C]. Default: false. */
  channelsLast?: boolean | undefined;
}

/**
 * Makes pixels of channels, as torch.pixel_shuffle: [B, C·factor², H, W] becomes [B, C, H·factor, W·factor]. With
 * `channelsLast`, [B, H, W, C·factor²] becomes [B, H·factor, W·factor, C]. Any dtype. Throws ShapeError, ArgumentError.
 */
export function pixelShuffle(x: Tensor, factor: number, options: PixelShuffleOptions = {}): Tensor {
  const { batch, channels, height, width, channelsLast } = measure('pixelShuffle', x, factor, options);
  const out = channels / factor ** 2;
  if (!Number.isInteger(out))
    throw new ShapeError(`pixelShuffle: x is ${describeShape(x.shape)}, expected a multiple of ${factor}² channels`);
  return x.device.scope(() =>
    channelsLast
      ? permute(x.reshape(batch, height, width, out, factor, factor), [0, 1, 4, 2, 5, 3]).reshape(
          batch,
          height * factor,
          width * factor,
          out,
        )
      : permute(x.reshape(batch, out, factor, factor, height, width), [0, 1, 4, 2, 5, 3]).reshape(
          batch,
          out,
          height * factor,
          width * factor,
        ),
  );
}

/** The inverse of `pixelShuffle`, as torch.pixel_unshuffle: height and width are multiples of `factor`. */
export function pixelUnshuffle(x: Tensor, factor: number, options: PixelShuffleOptions = {}): Tensor {
  const { batch, channels, height, width, channelsLast } = measure('pixelUnshuffle', x, factor, options);
  const [rows, columns] = [height / factor, width / factor];
  if (!Number.isInteger(rows) || !Number.isInteger(columns))
    throw new ShapeError(`pixelUnshuffle: x is ${describeShape(x.shape)}, expected multiples of ${factor} pixels`);
  const out = channels * factor ** 2;
  return x.device.scope(() =>
    channelsLast
      ? permute(x.reshape(batch, rows, factor, columns, factor, channels), [0, 1, 3, 5, 2, 4]).reshape(
          batch,
          rows,
          columns,
          out,
        )
      : permute(x.reshape(batch, channels, rows, factor, columns, factor), [0, 1, 3, 5, 2, 4]).reshape(
          batch,
          out,
          rows,
          columns,
        ),
  );
}

function measure(op: string, x: Tensor, factor: number, options: PixelShuffleOptions) {
  const { channelsLast = false } = checkOptions(op, options, { channelsLast: 'boolean' });
  checkDevice(op, { x });
  checkNumber(op, 'factor', factor, isCount, 'a positive integer');
  if (x.shape.length !== 4)
    throw new ShapeError(
      `${op}: x is ${describeShape(x.shape)}, expected ${channelsLast ? '[B, H, W, C]' : '[B, C, H, W]'}`,
    );
  const [batch, ...rest] = x.shape as [number, number, number, number];
  const [channels, height, width] = channelsLast ? [rest[2], rest[0], rest[1]] : rest;
  return { batch, channels, height, width, channelsLast };
}
