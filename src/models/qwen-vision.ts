// Parts of Qwen-VL's image encoders: they read patches in square blocks, which rotate by their rows and columns.

import { checkDType, describeShape, describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import { ImageEffects } from '../nn/image-effects.js';
import type { Initializer } from '../nn/init.js';
import type { GridSize } from '../nn/interpolation.js';
import { Linear } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import type { Norm } from '../nn/norm.js';
import { RotaryEmbedding } from '../nn/rotary-embedding.js';
import { rowsOf } from '../nn/token-batch.js';
import { gelu } from '../ops/activation.js';
import { linear } from '../ops/linear.js';
import { transpose } from '../ops/move.js';
import { heightAndWidth } from './config-values.js';
import type { Rows } from './inputs.js';
import type { ModelConfig } from './model-config.js';

/** Added to the variance in norms. */
export const EPS = 1e-6;

/** Projection of flattened patches. Checkpoints store its weight as that of a 3-D convolution. */
export class FlatPatches extends Module {
  /** float32 [features, channels, frames, height, width] */
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(init: Initializer, config: ModelConfig, features: number, hasBias: boolean) {
    super();
    const sizes = [
      config.size('in_channels'),
      config.size('temporal_patch_size'),
      ...heightAndWidth(config, 'patch_size'),
    ];
    this.weight = init.normal([features, ...sizes], sizes.reduce((product, size) => product * size) ** -0.5);
    this.bias = hasBias ? init.constant([features], 0) : null;
  }

  /** `pixels`: float32 [count, values of a patch]. Returns float32 [count, features]. */
  forward(pixels: unknown, count: number): Tensor {
    if (!(pixels instanceof Tensor))
      throw new ArgumentError(`forward: pixelValues is ${describeValue(pixels)}, expected a tensor`);
    checkDType('forward', 'pixelValues', pixels, 'float32');
    const features = this.weight.shape[0] as number;
    const values = this.weight.size / features;
    if (pixels.size !== count * values || pixels.shape.at(-1) !== values)
      throw new ShapeError(`forward: pixelValues is ${describeShape(pixels.shape)}, expected [${count}, ${values}]`);
    const flat = this.weight.reshape(features, values);
    return linear(pixels.reshape(count, values), transpose(flat), this.bias);
  }
}

/**
 * Merges each block of patches into one token. `normed`: the norm covers the features of each patch, or of a whole
 * block.
 */
export class PatchMerger extends Module {
  readonly norm: Norm;
  readonly linear1: Linear;
  readonly linear2: Linear;

  /** `features`: of a patch. `merged`: of a block. `norm` makes the norm of so many features. */
  constructor(
    init: Initializer,
    sizes: { readonly features: number; readonly merged: number; readonly out: number },
    norm: (features: number) => Norm,
    private readonly normed: 'each' | 'merged' = 'each',
  ) {
    super();
    const { features, merged, out } = sizes;
    this.norm = norm(normed === 'each' ? features : merged);
    this.linear1 = new Linear(init, merged, merged);
    this.linear2 = new Linear(init, merged, out);
  }

  /** float32 [N, features] → [blocks, dModel]. */
  forward(x: Tensor): Tensor {
    const merged = this.linear1.weight.shape[0] as number;
    const normed =
      this.normed === 'each' ? this.norm.forward(x).reshape(-1, merged) : this.norm.forward(x.reshape(-1, merged));
    return this.linear2.forward(gelu(this.linear1.forward(normed)));
  }
}

/** Returns a rotation: half of a head's pairs rotate by the row of a patch, half by its column. */
export function axialRotary(init: Initializer, config: ModelConfig, headSize: number): RotaryEmbedding {
  const { rope_theta: theta = 10000 } = (config.values.rope_parameters ?? {}) as { rope_theta?: number };
  const pairs = headSize / 4; // for each axis
  const frequencies = Array.from({ length: 2 * pairs }, (_, i) => theta ** (-(i % pairs) / pairs));
  const axes = frequencies.map((_, i) => Math.floor(i / pairs));
  return new RotaryEmbedding(init, { headSize, maxLength: 1 << 16, layout: 'halves', frequencies, axes });
}

/** Returns the rows and columns of patches of each image. Throws ArgumentError, ShapeError. */
export function gridsOf(imageGrids: Rows | undefined, merge: number): GridSize[] {
  if (imageGrids === undefined) throw new ArgumentError('forward: imageGridThw is missing');
  return rowsOf('imageGridThw', imageGrids, null).rows.map((row, i) => {
    const [frames, height = 0, width = 0] = Array.from(row);
    const isBlocks = (size: number) => size > 0 && size % merge === 0;
    if (row.length === 3 && frames === 1 && isBlocks(height) && isBlocks(width)) return [height, width];
    throw new ShapeError(
      `forward: imageGridThw[${i}] is ${Array.from(row).join(', ')}, expected 1 frame, and rows and columns that are multiples of ${merge}`,
    );
  });
}

/** The rotation of patches at these rows and columns. `grids`: rows and columns of the images. */
export function patchRotation(
  device: Device,
  rotary: RotaryEmbedding,
  positions: readonly (readonly [row: number, column: number])[],
  grids: readonly GridSize[],
): ImageEffects {
  const axes = [0, 1].map((axis) => device.tensor(Int32Array.from(positions, (position) => position[axis] as number)));
  return ImageEffects.rotated(rotary.anglesAt(axes, Math.max(...grids.flat())));
}
