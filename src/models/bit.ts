// Big Transfer's ResNet (BiT, Kolesnikov et al. 2019, arXiv 1912.11370), which also is a backbone of DPT. Images are
// [B, channels, H, W].

import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { Conv2d } from '../nn/conv.js';
import { DropPath, type Randomness } from '../nn/dropout.js';
import type { Initializer } from '../nn/init.js';
import { Module } from '../nn/module.js';
import { GroupNorm } from '../nn/norm.js';
import type { StateNames } from '../nn/state-names.js';
import { type Activation, activate } from '../ops/activation.js';
import { add } from '../ops/binary.js';
import { conv2d } from '../ops/conv.js';
import { layerNorm } from '../ops/layer-norm.js';
import { pad } from '../ops/pad.js';
import { maxPool2d } from '../ops/pool.js';
import { activationOf } from './config-values.js';
import { type Json, ModelConfig } from './model-config.js';

type Padding = 'none' | 'same' | 'valid';

interface BitSettings {
  readonly init: Initializer;
  readonly config: ModelConfig;
  readonly padding: Padding;
  readonly activation: Activation;
}

/** Elements that TensorFlow's rule adds to a side, so that windows cover all of it. */
function missing(side: number, kernel: number, stride: number): number {
  return Math.max((Math.ceil(side / stride) - 1) * stride + kernel - side, 0);
}

/** Adds zeros around `x` by that rule. An odd number puts one more behind. */
function padSame(x: Tensor, kernel: number, stride: number): Tensor {
  const [height, width] = x.shape.slice(2).map((side) => missing(side, kernel, stride)) as [number, number];
  const halves = (count: number) => [Math.floor(count / 2), Math.ceil(count / 2)];
  return height + width > 0 ? pad(x, [...halves(width), ...halves(height)]) : x;
}

/** A convolution without a bias, whose weights are standardized (Qiao et al. 2019, arXiv 1903.10520). */
class StandardizedConv extends Conv2d {
  readonly #convolution: { readonly stride: number; readonly padding: number };
  readonly #kernel: number;
  readonly #isDynamic: boolean;

  constructor({ init, padding }: BitSettings, inputs: number, outputs: number, kernel: number, stride = 1) {
    super(init, { inputs, outputs, kernel: [kernel, kernel], bias: false });
    this.#kernel = kernel;
    this.#isDynamic = padding === 'same' && (stride > 1 || kernel % 2 === 0);
    const isPadded = padding !== 'valid' && !this.#isDynamic;
    this.#convolution = { stride, padding: isPadded ? Math.floor((stride + kernel - 2) / 2) : 0 };
  }

  override forward(x: Tensor): Tensor {
    const { shape } = this.weight;
    const weight = layerNorm(this.weight.reshape(shape[0] as number, -1), null, null, { eps: 1e-8 }).reshape(shape);
    const padded = this.#isDynamic ? padSame(x, this.#kernel, this.#convolution.stride) : x;
    return conv2d(padded, weight, null, this.#convolution);
  }
}

/** A norm of groups of channels, and an activation if `acts`. */
class NormAndActivation extends GroupNorm {
  readonly #activation: Activation;

  constructor({ init, config, activation }: BitSettings, channels: number, acts = true) {
    super(init, config.size('num_groups'), channels);
    this.#activation = acts ? activation : 'none';
  }

  override forward(x: Tensor): Tensor {
    return activate('Bit', super.forward(x), this.#activation);
  }
}

/** A convolution of the shortcut, with a norm unless the layer begins with one. */
class Downsample extends Module {
  readonly conv: StandardizedConv;
  readonly norm: NormAndActivation | null;

  constructor(settings: BitSettings, inputs: number, outputs: number, stride: number, normed: boolean) {
    super();
    this.conv = new StandardizedConv(settings, inputs, outputs, 1, stride);
    this.norm = normed ? new NormAndActivation(settings, outputs, false) : null;
  }

  forward(x: Tensor): Tensor {
    const y = this.conv.forward(x);
    return this.norm?.forward(y) ?? y;
  }
}

/** Three convolutions, and a shortcut around them. Norms are before the convolutions (`isPre`) or after them. */
class BitLayer extends Module {
  readonly downsample: Downsample | null;
  readonly conv1: StandardizedConv;
  readonly norm1: NormAndActivation;
  readonly conv2: StandardizedConv;
  readonly norm2: NormAndActivation;
  readonly conv3: StandardizedConv;
  readonly norm3: NormAndActivation;
  readonly dropPath: DropPath;
  readonly #isPre: boolean;
  readonly #activation: Activation;

  constructor(settings: BitSettings, context: LayerContext) {
    super();
    const { inputs, outputs, stride, isFirst, isPre } = context;
    const inner = divisible(outputs / 4);
    this.downsample = isFirst ? new Downsample(settings, inputs, outputs, stride, !isPre) : null;
    this.conv1 = new StandardizedConv(settings, inputs, inner, 1);
    this.norm1 = new NormAndActivation(settings, isPre ? inputs : inner);
    this.conv2 = new StandardizedConv(settings, inner, inner, 3, stride);
    this.norm2 = new NormAndActivation(settings, inner);
    this.conv3 = new StandardizedConv(settings, inner, outputs, 1);
    this.norm3 = new NormAndActivation(settings, isPre ? inner : outputs, isPre);
    this.dropPath = context.dropPath;
    this.#isPre = isPre;
    this.#activation = settings.activation;
  }

  forward(x: Tensor): Tensor {
    const { norm1, norm2, norm3, conv1, conv2, conv3 } = this;
    if (this.#isPre) {
      const normed = norm1.forward(x);
      const y = conv3.forward(norm3.forward(conv2.forward(norm2.forward(conv1.forward(normed)))));
      return add(this.#dropped(y), this.downsample?.forward(normed) ?? x);
    }
    const y = norm3.forward(conv3.forward(norm2.forward(conv2.forward(norm1.forward(conv1.forward(x))))));
    return activate('Bit', add(this.#dropped(y), this.downsample?.forward(x) ?? x), this.#activation);
  }

  /** Drops the branch of whole images in training. */
  #dropped(y: Tensor): Tensor {
    return this.dropPath.forward(y.reshape(y.shape[0] as number, -1)).reshape(y.shape);
  }
}

interface LayerContext {
  readonly inputs: number;
  readonly outputs: number;
  readonly stride: number;
  readonly isFirst: boolean;
  readonly isPre: boolean;
  readonly dropPath: DropPath;
}

class BitStage extends Module {
  constructor(readonly layers: readonly BitLayer[]) {
    super();
  }
}

/** Rounds a number of channels to a multiple of 8, but not below 90 % of it. */
export function divisible(channels: number): number {
  const rounded = Math.max(8, Math.floor(Math.trunc(channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

/** BiT's stem and stages. */
export class Bit extends Module {
  readonly convolution: StandardizedConv;
  readonly stemNorm: NormAndActivation | null;
  readonly stages: readonly BitStage[];
  readonly norm: NormAndActivation | null;
  readonly #padsStem: boolean;
  readonly #padsPool: boolean;

  /** Throws FormatError for settings that are not supported. */
  constructor(init: Initializer, values: Json, randomness: Randomness) {
    super();
    const config = new ModelConfig({ ...bitDefaults, ...values });
    const isPre = config.oneOf('layer_type', { preactivation: true, bottleneck: false });
    const padding = paddingOf(config);
    const settings = { init, config, padding, activation: activationOf(config.text('hidden_act')) };
    const [depths, widths] = [config.sizes('depths'), config.sizes('hidden_sizes')];
    if (widths.length < depths.length)
      throw new FormatError(`config.json: hidden_sizes has ${widths.length} sizes, expected ${depths.length}`);
    const [first, factor] = [config.size('embedding_size'), config.size('width_factor')];
    const total = depths.reduce((sum, depth) => sum + depth, 0);
    refuseDilation(config, depths.length);
    this.convolution = new StandardizedConv(settings, config.size('num_channels'), first, 7, 2);
    this.stemNorm = isPre ? null : new NormAndActivation(settings, first);
    let [made, before] = [0, first];
    this.stages = depths.map((depth, stage) => {
      const outputs = divisible((widths[stage] as number) * factor);
      const layers = Array.from({ length: depth }, (_, i) => {
        const drops = (config.number('drop_path_rate') * made++) / Math.max(total - 1, 1);
        const inputs = i === 0 ? before : outputs;
        const stride = i === 0 && stage > 0 ? 2 : 1;
        const dropPath = new DropPath(drops, randomness);
        return new BitLayer(settings, { inputs, outputs, stride, isFirst: i === 0, isPre, dropPath });
      });
      before = outputs;
      return new BitStage(layers);
    });
    this.norm = isPre ? new NormAndActivation(settings, widths.at(-1) as number) : null;
    this.#padsStem = padding !== 'same';
    this.#padsPool = config.flag('embedding_dynamic_padding');
  }

  /** `pixels`: float32 [B, channels, H, W]. Returns the maps of the stem and of each stage. Yields after each layer. */
  *forwardInParts(pixels: Tensor): Generator<undefined, Tensor[]> {
    const start = this.convolution.forward(pixels);
    const padded = this.#padsStem ? pad(start, [1, 1, 1, 1]) : start;
    const normed = this.stemNorm?.forward(padded) ?? padded;
    const pooled = this.#padsPool ? padSame(normed, 3, 2) : normed;
    const maps = [maxPool2d(pooled, 3, { stride: 2 })];
    for (const { layers } of this.stages) {
      let map = maps.at(-1) as Tensor;
      for (const layer of layers) {
        map = layer.forward(map);
        yield;
      }
      maps.push(map);
    }
    return maps;
  }
}

/** Names of a backbone's parts in checkpoints. `path` is its property, `prefix` its name. */
export function bitNames(path: string, prefix: string): StateNames {
  return {
    [`${path}.convolution`]: `${prefix}.embedder.convolution`,
    [`${path}.stem_norm`]: `${prefix}.embedder.norm`,
    [`${path}.stages.*`]: `${prefix}.encoder.stages.*`,
    [`${path}.norm`]: `${prefix}.norm`,
  };
}

function paddingOf({ values: { global_padding: padding } }: ModelConfig): Padding {
  if (padding == null) return 'none';
  const name = String(padding).toLowerCase();
  if (name === 'same' || name === 'valid') return name;
  throw new FormatError(`config.json: global_padding is ${describeValue(padding)}, expected 'same', 'valid' or null`);
}

/** Throws FormatError if a stage would dilate its convolutions instead of making a smaller map. */
function refuseDilation(config: ModelConfig, stages: number): void {
  const stride = config.size('output_stride');
  if (stages < 2 || 2 ** stages < stride) return;
  throw new FormatError(`config.json: output_stride is ${stride}, expected at least ${2 ** stages + 1}: no dilation`);
}

export const bitDefaults: Json = {
  num_channels: 3,
  embedding_size: 64,
  hidden_sizes: [256, 512, 1024, 2048],
  depths: [3, 4, 6, 3],
  layer_type: 'preactivation',
  hidden_act: 'relu',
  global_padding: null,
  num_groups: 32,
  drop_path_rate: 0,
  embedding_dynamic_padding: false,
  output_stride: 32,
  width_factor: 1,
};
