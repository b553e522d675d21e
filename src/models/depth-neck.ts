// The neck of DPT (Ranftl et al. 2021, arXiv 2103.13413) and of its descendants. Maps are [B, H, W, features].

import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { BatchNorm } from '../nn/batch-norm.js';
import { Conv2d, ConvTranspose2d } from '../nn/conv.js';
import type { Initializer } from '../nn/init.js';
import type { GridSize } from '../nn/interpolation.js';
import { Module } from '../nn/module.js';
import type { StateNames } from '../nn/state-names.js';
import { relu } from '../ops/activation.js';
import { add } from '../ops/binary.js';
import { interpolate } from '../ops/interpolate.js';
import type { ModelConfig } from './model-config.js';

/** Returns a convolution that keeps height and width. */
export function conv(init: Initializer, inputs: number, outputs: number, kernel: 1 | 3, bias = true): Conv2d {
  return new Conv2d(init, {
    inputs,
    outputs,
    kernel: [kernel, kernel],
    padding: (kernel - 1) / 2,
    channelsLast: true,
    bias,
  });
}

export interface NeckOptions {
  /** Features of the patches. */
  readonly inputs: number;
  /** Number of first maps that are not patches, so that they keep their size and features. */
  readonly whole: number;
  /** True if each fused map has the next larger map's size, false if it has twice its own. */
  readonly fits: boolean;
}

/**
 * Turns the features of several layers into maps of different sizes, and fuses them from the smallest to the largest.
 */
export class DepthNeck extends Module {
  readonly reassemble: readonly (ReassembleLayer | null)[];
  readonly convs: readonly Conv2d[];
  readonly fusion: readonly FusionLayer[];
  readonly #fits: boolean;

  constructor(init: Initializer, config: ModelConfig, { inputs, whole, fits }: NeckOptions) {
    super();
    const [widths, fused] = [config.sizes('neck_hidden_sizes'), config.size('fusion_hidden_size')];
    const factors = config.list('reassemble_factors');
    this.reassemble = widths.map((width, i) =>
      i < whole ? null : new ReassembleLayer(init, inputs, width, factors[i]),
    );
    this.convs = widths.map((width) => conv(init, width, fused, 3, false));
    const normed = config.flag('use_batch_norm_in_fusion_residual');
    const bias =
      config.values.use_bias_in_fusion_residual == null ? !normed : config.flag('use_bias_in_fusion_residual');
    this.fusion = widths.map(() => new FusionLayer(init, fused, { normed, bias }));
    this.#fits = fits;
  }

  /** `maps`: from the largest to the smallest. Returns the fused maps, of which the last is the largest. */
  forward(maps: readonly Tensor[]): Tensor[] {
    const fromSmallest = maps
      .map((map, i) => (this.convs[i] as Conv2d).forward(this.reassemble[i]?.forward(map) ?? map))
      .reverse();
    const fused: Tensor[] = [];
    for (const [i, map] of fromSmallest.entries()) {
      const next = this.#fits ? fromSmallest[i + 1] : undefined;
      const size = next ? (next.shape.slice(1, 3) as unknown as GridSize) : null;
      const before = fused.at(-1);
      const layer = this.fusion[i] as FusionLayer;
      fused.push(before ? layer.forward(before, map, size) : layer.forward(map, null, size));
    }
    return fused;
  }
}

/** Names of the parts of `neck` in checkpoints. */
export const neckNames: StateNames = {
  'neck.reassemble.*': 'neck.reassemble_stage.layers.*',
  'neck.fusion.*': 'neck.fusion_stage.layers.*',
};

/** True for the part of the first layer that joins maps. It has only one map, so the part is never used. */
export function isUnusedInNeck(name: string): boolean {
  return name.startsWith('neck.fusion_stage.layers.0.residual_layer1.');
}

/** The fused map that a head reads, by `head_in_index`. Throws FormatError if there are fewer maps. */
export function fusedMap(maps: readonly Tensor[], config: ModelConfig): Tensor {
  const index = config.number('head_in_index');
  const map = maps.at(index);
  if (map) return map;
  throw new FormatError(`config.json: head_in_index is ${index}, but there are ${maps.length} maps`);
}

/** Projects the features of patches to a map of a certain width, and resizes it by a factor. */
class ReassembleLayer extends Module {
  readonly projection: Conv2d;
  readonly resize: Conv2d | ConvTranspose2d | null;

  constructor(init: Initializer, inputs: number, width: number, factor: unknown) {
    super();
    if (typeof factor !== 'number' || !(factor > 0))
      throw new FormatError(`config.json: reassemble_factors has ${describeValue(factor)}, expected positive numbers`);
    this.projection = conv(init, inputs, width, 1);
    const [growth, channelsLast] = [Math.trunc(factor), true];
    if (factor > 1)
      this.resize = new ConvTranspose2d(init, {
        inputs: width,
        outputs: width,
        kernel: [growth, growth],
        stride: growth,
        channelsLast,
      });
    else if (factor === 1) this.resize = null;
    else {
      const placing = { stride: Math.trunc(1 / factor), padding: 1, channelsLast };
      this.resize = new Conv2d(init, { inputs: width, outputs: width, kernel: [3, 3], ...placing });
    }
  }

  forward(x: Tensor): Tensor {
    const map = this.projection.forward(x);
    return this.resize?.forward(map) ?? map;
  }
}

interface ConvOptions {
  /** True if batch normalization follows each convolution. */
  readonly normed: boolean;
  /** True if convolutions add a bias. */
  readonly bias: boolean;
}

/** x + norm(conv(relu(norm(conv(relu(x)))))) */
class ResidualConvs extends Module {
  readonly convolution1: Conv2d;
  readonly batchNorm1: BatchNorm | null;
  readonly convolution2: Conv2d;
  readonly batchNorm2: BatchNorm | null;

  constructor(init: Initializer, width: number, { normed, bias }: ConvOptions) {
    super();
    const norm = () => (normed ? new BatchNorm(init, width, { channelsLast: true }) : null);
    this.convolution1 = conv(init, width, width, 3, bias);
    this.batchNorm1 = norm();
    this.convolution2 = conv(init, width, width, 3, bias);
    this.batchNorm2 = norm();
  }

  forward(x: Tensor): Tensor {
    const first = this.convolution1.forward(relu(x));
    const second = this.convolution2.forward(relu(this.batchNorm1?.forward(first) ?? first));
    return add(this.batchNorm2?.forward(second) ?? second, x);
  }
}

/** Adds a map to the fused map, and enlarges the sum. */
class FusionLayer extends Module {
  readonly projection: Conv2d;
  readonly residualLayer1: ResidualConvs;
  readonly residualLayer2: ResidualConvs;

  constructor(init: Initializer, width: number, options: ConvOptions) {
    super();
    this.projection = conv(init, width, width, 1);
    this.residualLayer1 = new ResidualConvs(init, width, options);
    this.residualLayer2 = new ResidualConvs(init, width, options);
  }

  /** `size`: height and width of the result; null for twice those of `fused`. */
  forward(fused: Tensor, map: Tensor | null, size: GridSize | null): Tensor {
    const grid = fused.shape.slice(1, 3) as unknown as GridSize;
    let x = fused;
    if (map) {
      const isFit = `${map.shape}` === `${fused.shape}`;
      const resized = isFit ? map : interpolate(map, { size: grid, mode: 'bilinear', channelsLast: true });
      x = add(fused, this.residualLayer1.forward(resized));
    }
    const to = size ?? ([2 * grid[0], 2 * grid[1]] as const);
    const options = { size: to, mode: 'bilinear', alignCorners: true, channelsLast: true } as const;
    return this.projection.forward(interpolate(this.residualLayer2.forward(x), options));
  }
}
