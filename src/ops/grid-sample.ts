// Sampling of images at computed positions.

import { accumulateBits, differentiable, gradOf } from '../core/autograd.js';
import { checkDevice, checkDTypes, checkOptions, describeShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';
import { permute } from './move.js';

export interface GridSampleOptions {
  /**
   * 'bilinear' interpolates the four pixels around a position, 'nearest' takes the nearest pixel. Default: 'bilinear'.
   */
  mode?: 'bilinear' | 'nearest' | undefined;
  /** Values outside an image: 'zeros', or 'border' for the nearest pixel of the border. Default: 'zeros'. */
  paddingMode?: 'zeros' | 'border' | undefined;
  /** True if -1 and 1 are the centres of the outer pixels, false if they are the image's edges. Default: false. */
  alignCorners?: boolean | undefined;
  /** True for x as [B, H, W, C] and the result as [B, H', W', C], which is faster. Default: false. */
  channelsLast?: boolean | undefined;
}

/**
 * Samples images at given positions, as torch.nn.functional.grid_sample. `x` is float32 [B, C, H, W]. `grid`, float32
 * [B, H', W', 2], has x and y of each position, from -1 to 1. The result is [B, C, H', W']. Positions that are NaN or
 * far outside give zeros, or with 'border' pixels of the border. Gradients go to both. Throws ShapeError, DTypeError,
 * ArgumentError.
 */
export function gridSample(x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  const {
    mode = 'bilinear',
    paddingMode = 'zeros',
    ...flags
  } = checkOptions('gridSample', options, {
    mode: ['bilinear', 'nearest'],
    paddingMode: ['zeros', 'border'],
    alignCorners: 'boolean',
    channelsLast: 'boolean',
  });
  const { alignCorners = false, channelsLast = false } = flags;
  const device = checkDevice('gridSample', { x, grid });
  checkDTypes('gridSample', { x, grid }, 'float32');
  const isFit = x.shape.length === 4 && grid.shape.length === 4 && grid.shape[0] === x.shape[0] && grid.shape[3] === 2;
  if (!isFit) {
    const expected = `x ${channelsLast ? '[B, H, W, C]' : '[B, C, H, W]'} and grid [B, H', W', 2]`;
    throw new ShapeError(
      `gridSample: x is ${describeShape(x.shape)}, grid is ${describeShape(grid.shape)}: expected ${expected}`,
    );
  }
  return device.scope(() => {
    const image = contiguous(channelsLast ? x : permute(x, [0, 2, 3, 1]));
    const points = contiguous(grid);
    const [batch, height, width, channels] = image.shape as [number, number, number, number];
    const [, rows, columns] = points.shape as [number, number, number];
    const y = device.empty([batch, rows, columns, channels]);
    const sizes = { batch, height, width, channels, points: rows * columns };
    const kind = { nearest: mode === 'nearest', border: paddingMode === 'border', alignCorners };
    device.emit('gridSample', { x: image, grid: points, y, ...sizes, ...kind }, 8 * y.size);
    differentiable(y, [image, points], (dy) => {
      const [dx, dgrid] = [gradOf(image), gradOf(points)];
      const operands = { dy, x: image, grid: points, dx: dx?.tensor, dgrid: dgrid?.tensor, ...sizes, ...kind };
      device.emit('gridSampleBackward', { ...operands, accumulate: accumulateBits(dx, dgrid) }, 16 * y.size);
    });
    return channelsLast ? y : permute(y, [0, 3, 1, 2]);
  });
}
