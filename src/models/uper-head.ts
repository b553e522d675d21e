// Heads that label the pixels of an image by four maps of a vision Transformer.

import type { Tensor } from '../core/tensor.js';
import { BatchNorm } from '../nn/batch-norm.js';
import { Conv2d, ConvTranspose2d } from '../nn/conv.js';
import type { Initializer } from '../nn/init.js';
import type { GridSize } from '../nn/interpolation.js';
import { Module } from '../nn/module.js';
import { gelu } from '../ops/activation.js';
import { add } from '../ops/binary.js';
import { interpolate } from '../ops/interpolate.js';
import { concat } from '../ops/move.js';
import { adaptiveAvgPool2d, maxPool2d } from '../ops/pool.js';
import { labelsOf } from './labels.js';
import type { ModelConfig } from './model-config.js';
import { ConvNorm } from './resnet.js';

const channelsLast = true;

/** A convolution that keeps the size of maps, batch norm and ReLU. */
const convOf = (init: Initializer, inputs: number, outputs: number, kernel: number) =>
  new ConvNorm(init, inputs, outputs, { kernel, activation: 'relu', frozen: false });

/** A projection of each position to the scores of labels. */
const classifierOf = (init: Initializer, inputs: number, config: ModelConfig) =>
  new Conv2d(init, { inputs, outputs: labelsOf(config.values).length, kernel: [1, 1], channelsLast });

const gridOf = (map: Tensor) => map.shape.slice(1, 3) as unknown as GridSize;

const resized = (map: Tensor, size: GridSize) => interpolate(map, { size, mode: 'bilinear', channelsLast });

/** Doubles the height and the width of maps. */
const doubling = (init: Initializer, width: number) =>
  new ConvTranspose2d(init, { inputs: width, outputs: width, kernel: [2, 2], stride: 2, channelsLast });

/** Scales four maps of equal size to 4, 2, 1 and 1/2 of it. */
export class MapPyramid extends Module {
  readonly first: ConvTranspose2d;
  readonly firstNorm: BatchNorm;
  readonly firstAgain: ConvTranspose2d;
  readonly second: ConvTranspose2d;

  constructor(init: Initializer, width: number) {
    super();
    this.first = doubling(init, width);
    this.firstNorm = new BatchNorm(init, width, { channelsLast });
    this.firstAgain = doubling(init, width);
    this.second = doubling(init, width);
  }

  /** `maps`: four maps, float32 [B, H, W, width]. */
  forward(maps: readonly Tensor[]): Tensor[] {
    const [a, b, c, d] = maps as [Tensor, Tensor, Tensor, Tensor];
    const wide = this.firstAgain.forward(gelu(this.firstNorm.forward(this.first.forward(a))));
    return [wide, this.second.forward(b), c, maxPool2d(d, 2, { channelsLast })];
  }
}

/** UPerNet (Xiao et al. 2018, arXiv 1807.10221): maps of several sizes, the smallest one with means of its regions. */
export class UperHead extends Module {
  readonly pooled: readonly ConvNorm[];
  readonly bottleneck: ConvNorm;
  readonly lateral: readonly ConvNorm[];
  readonly smooth: readonly ConvNorm[];
  readonly fuse: ConvNorm;
  readonly classifier: Conv2d;
  readonly #scales: readonly number[];

  constructor(init: Initializer, config: ModelConfig, width: number) {
    super();
    this.#scales = config.sizes('pool_scales');
    const each = (kernel: number) => Array.from({ length: 3 }, () => convOf(init, width, width, kernel));
    this.pooled = this.#scales.map(() => convOf(init, width, width, 1));
    this.bottleneck = convOf(init, (1 + this.#scales.length) * width, width, 3);
    this.lateral = each(1);
    this.smooth = each(3);
    this.fuse = convOf(init, 4 * width, width, 3);
    this.classifier = classifierOf(init, width, config);
  }

  /** float32 [B, H, W, width] of each map, the largest first → [B, H, W, labels] of the first map's size. */
  forward(maps: readonly Tensor[]): Tensor {
    const levels = this.lateral.map((conv, i) => conv.forward(maps[i] as Tensor));
    levels.push(this.#withRegions(maps.at(-1) as Tensor));
    for (let i = levels.length - 1; i > 0; i--) {
      const below = levels[i - 1] as Tensor;
      levels[i - 1] = add(below, resized(levels[i] as Tensor, gridOf(below)));
    }
    const smooth = levels.map((map, i) => this.smooth[i]?.forward(map) ?? map);
    const size = gridOf(smooth[0] as Tensor);
    const joined = concat(
      smooth.map((map, i) => (i === 0 ? map : resized(map, size))),
      -1,
    );
    return this.classifier.forward(this.fuse.forward(joined));
  }

  /** Adds means of regions to a map, from the whole map to small cells. */
  #withRegions(map: Tensor): Tensor {
    const means = this.pooled.map((conv, i) => {
      const pooled = adaptiveAvgPool2d(map, this.#scales[i] as number, { channelsLast });
      return resized(conv.forward(pooled), gridOf(map));
    });
    return this.bottleneck.forward(concat([map, ...means], -1));
  }
}

/** A further head, which only the loss reads: convolutions of the third map. */
export class AuxiliaryHead extends Module {
  readonly convs: readonly ConvNorm[];
  readonly joined: ConvNorm | null;
  readonly classifier: Conv2d;

  constructor(init: Initializer, config: ModelConfig, width: number) {
    super();
    const channels = config.size('auxiliary_channels');
    this.convs = Array.from({ length: config.number('auxiliary_num_convs') }, (_, i) =>
      convOf(init, i === 0 ? width : channels, channels, 3),
    );
    this.joined = config.flag('auxiliary_concat_input') ? convOf(init, width + channels, channels, 3) : null;
    this.classifier = classifierOf(init, channels, config);
  }

  /** float32 [B, H, W, width] → [B, H, W, labels]. */
  forward(map: Tensor): Tensor {
    const mixed = this.convs.reduce((x, conv) => conv.forward(x), map);
    return this.classifier.forward(this.joined?.forward(concat([map, mixed], -1)) ?? mixed);
  }
}
