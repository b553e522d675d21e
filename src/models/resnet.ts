// ResNet (He et al. 2015, arXiv 1512.03385): the backbone of detectors. Images are [B, H, W, channels].

import { isObject } from '../core/check.js';
import { FormatError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { BatchNorm, FrozenBatchNorm } from '../nn/batch-norm.js';
import { Conv2d } from '../nn/conv.js';
import type { Initializer } from '../nn/init.js';
import { Module } from '../nn/module.js';
import type { StateNames } from '../nn/state-names.js';
import { type Activation, activate } from '../ops/activation.js';
import { add } from '../ops/binary.js';
import { avgPool2d, maxPool2d } from '../ops/pool.js';
import { activationOf } from './config-values.js';
import { type Json, ModelConfig } from './model-config.js';

export interface ConvNormOptions {
  readonly kernel: number;
  readonly stride?: number | undefined;
  readonly padding?: number | undefined;
  readonly groups?: number | undefined;
  readonly dilation?: number | undefined;
  readonly activation?: Activation | undefined;
  /** True if statistics and factors of the norm are constants. */
  readonly frozen: boolean;
  readonly eps?: number | undefined;
}

/** A convolution without a bias, batch normalization and an activation. */
export class ConvNorm extends Module {
  readonly convolution: Conv2d;
  readonly normalization: BatchNorm | FrozenBatchNorm;
  readonly #activation: Activation;

  /** `padding`: half the kernel by default. */
  constructor(init: Initializer, inputs: number, outputs: number, options: ConvNormOptions) {
    super();
    const { kernel, stride = 1, padding = Math.floor(kernel / 2), groups = 1, activation = 'none', frozen } = options;
    const { eps = 1e-5, dilation = 1 } = options;
    const geometry = { stride, padding, groups, dilation, channelsLast: true };
    this.convolution = new Conv2d(init, { inputs, outputs, kernel: [kernel, kernel], ...geometry, bias: false });
    this.normalization = frozen
      ? new FrozenBatchNorm(init, outputs, eps)
      : new BatchNorm(init, outputs, { eps, channelsLast: true });
    this.#activation = activation;
  }

  /** `x`: float32 [B, H, W, inputs]. */
  forward(x: Tensor): Tensor {
    const y = this.normalization.forward(this.convolution.forward(x));
    return this.#activation === 'none' ? y : activate('ConvNorm', y, this.#activation);
  }
}

interface ResNetSettings {
  readonly config: ModelConfig;
  readonly frozen: boolean;
  /** True for RT-DETR's variant: three convolutions at the start, and shortcuts that take means. */
  readonly deep: boolean;
  readonly activation: Activation;
}

/** Two or three convolutions, and a shortcut around them. */
class ResNetLayer extends Module {
  readonly layer: readonly ConvNorm[];
  readonly shortcut: ConvNorm | null;
  /** A shortcut after the mean of each square of four pixels. */
  readonly pooledShortcut: ConvNorm | null;
  readonly #pools: boolean;
  readonly #activation: Activation;

  constructor(init: Initializer, settings: ResNetSettings, inputs: number, outputs: number, context: LayerContext) {
    super();
    const { config, frozen, deep, activation } = settings;
    const { stride, isFirst } = context;
    const isBottleneck = config.oneOf('layer_type', { bottleneck: true, basic: false });
    const conv = (from: number, to: number, kernel: number, step: number, acts = true) =>
      new ConvNorm(init, from, to, { kernel, stride: step, frozen, ...(acts ? { activation: 'relu' as const } : {}) });
    if (isBottleneck) {
      const inner = Math.floor(outputs / 4);
      const early = config.flag('downsample_in_bottleneck');
      this.layer = [
        conv(inputs, inner, 1, early ? stride : 1),
        conv(inner, inner, 3, early ? 1 : stride),
        conv(inner, outputs, 1, 1, false),
      ];
    } else this.layer = [conv(inputs, outputs, 3, stride), conv(outputs, outputs, 3, 1, false)];
    const changes = inputs !== outputs || stride !== 1;
    const projects = isBottleneck || !deep ? changes : isFirst;
    this.#pools = deep && (isBottleneck ? stride === 2 : isFirst && inputs !== outputs);
    const project = (step: number) => (projects ? conv(inputs, outputs, 1, step, false) : null);
    this.shortcut = this.#pools ? null : project(stride);
    this.pooledShortcut = this.#pools ? project(1) : null;
    this.#activation = activation;
  }

  forward(x: Tensor): Tensor {
    const y = this.layer.reduce((input, unit) => unit.forward(input), x);
    const kept = this.#pools ? avgPool2d(x, 2, { ceilMode: true, channelsLast: true }) : x;
    const shortcut = this.shortcut ?? this.pooledShortcut;
    return activate('ResNet', add(y, shortcut?.forward(kept) ?? kept), this.#activation);
  }
}

interface LayerContext {
  readonly stride: number;
  /** True for the first layer of a stage. */
  readonly isFirst: boolean;
}

class ResNetStage extends Module {
  constructor(readonly layers: readonly ResNetLayer[]) {
    super();
  }

  /** Yields after each layer. */
  *forwardInParts(x: Tensor): Generator<undefined, Tensor> {
    let y = x;
    for (const layer of this.layers) {
      y = layer.forward(y);
      yield;
    }
    return y;
  }
}

/** A ResNet that returns maps of features of some of its stages. */
export class ResNet extends Module {
  readonly stem: readonly ConvNorm[];
  readonly stages: readonly ResNetStage[];
  /** Channels of the maps that `forwardInParts` returns. */
  readonly channels: readonly number[];
  /** Stages whose maps are returned, in order; 0 is the stem. */
  readonly #outputs: readonly number[];
  readonly #inputs: number;

  constructor(init: Initializer, values: Json, frozen: boolean) {
    super();
    const config = new ModelConfig({ ...resNetDefaults, ...values });
    const deep = config.type === 'rt_detr_resnet';
    const activation = activationOf(config.text('hidden_act'));
    const settings = { config, frozen, deep, activation };
    const depths = config.sizes('depths');
    const widths = [config.size('embedding_size'), ...config.sizes('hidden_sizes', depths.length)];
    const first = widths[0] as number;
    this.#inputs = config.size('num_channels');
    const half = Math.floor(first / 2);
    const stem = deep
      ? ([
          [this.#inputs, half, 2],
          [half, half, 1],
          [half, first, 1],
        ] as const)
      : ([[this.#inputs, first, 2]] as const);
    this.stem = stem.map(
      ([from, to, stride]) => new ConvNorm(init, from, to, { kernel: deep ? 3 : 7, stride, activation, frozen }),
    );
    this.stages = depths.map((depth, i) => {
      const stride = i > 0 || config.flag('downsample_in_first_stage') ? 2 : 1;
      const [inputs, outputs] = [widths[i], widths[i + 1]] as [number, number];
      const layer = (_: unknown, k: number) =>
        new ResNetLayer(init, settings, k === 0 ? inputs : outputs, outputs, {
          stride: k === 0 ? stride : 1,
          isFirst: k === 0,
        });
      return new ResNetStage(Array.from({ length: depth }, layer));
    });
    this.#outputs = stagesOf(config, depths.length);
    this.channels = this.#outputs.map((stage) => widths[stage] as number);
  }

  /** `pixels`: float32 [B, H, W, channels]. Returns maps [B, H', W', C] of the stages. Throws ShapeError. */
  *forwardInParts(pixels: Tensor): Generator<undefined, Tensor[]> {
    const channels = pixels.shape[3] as number;
    if (channels !== this.#inputs)
      throw new ShapeError(`forward: pixelValues have ${channels} channels, expected ${this.#inputs}`);
    const start = this.stem.reduce((x, conv) => conv.forward(x), pixels);
    const maps = [maxPool2d(start, 3, { stride: 2, padding: 1, channelsLast: true })];
    for (const stage of this.stages.slice(0, this.#outputs.at(-1)))
      maps.push(yield* stage.forwardInParts(maps.at(-1) as Tensor));
    return this.#outputs.map((stage) => maps[stage] as Tensor);
  }
}

export const resNetDefaults: Json = {
  model_type: 'resnet',
  num_channels: 3,
  embedding_size: 64,
  hidden_sizes: [256, 512, 1024, 2048],
  depths: [3, 4, 6, 3],
  layer_type: 'bottleneck',
  hidden_act: 'relu',
};

/**
 * Stages whose maps a config asks for: by name, or by number, of which negative ones count from the end. Default: the
 * last.
 */
export function stagesOf(config: ModelConfig, stages: number): number[] {
  const { out_features: names, out_indices: numbers } = config.values;
  const all = ['stem', ...Array.from({ length: stages }, (_, i) => `stage${i + 1}`)];
  const found = Array.isArray(names)
    ? names.map((name) => all.indexOf(String(name)))
    : Array.isArray(numbers)
      ? numbers.map((number) => (Number(number) < 0 ? Number(number) + all.length : Number(number)))
      : [stages];
  if (found.length > 0 && found.every((stage) => Number.isInteger(stage) && stage >= 0 && stage <= stages))
    return found.sort((a, b) => a - b);
  throw new FormatError(`config.json: out_features of the backbone are not stages, expected ${all.join(', ')}`);
}

/** Names of a backbone's parts in checkpoints. `path` is its property, `prefix` its name. */
export function resNetNames(path: string, prefix: string, deep = false): StateNames {
  const layer = `${prefix}.encoder.stages.*.layers.*`;
  return {
    ...(deep
      ? { [`${path}.stem.*`]: `${prefix}.embedder.embedder.*` }
      : { [`${path}.stem.0`]: `${prefix}.embedder.embedder` }),
    [`${path}.stages.*.layers.*.pooled_shortcut`]: `${layer}.shortcut.1`,
    [`${path}.stages.*.layers.*`]: layer,
  };
}

/** Settings of timm's networks by name. */
const timm: Readonly<Record<string, Json>> = {
  resnet18: { layer_type: 'basic', depths: [2, 2, 2, 2], hidden_sizes: [64, 128, 256, 512] },
  resnet34: { layer_type: 'basic', depths: [3, 4, 6, 3], hidden_sizes: [64, 128, 256, 512] },
  resnet50: { depths: [3, 4, 6, 3] },
  resnet101: { depths: [3, 4, 23, 3] },
  resnet152: { depths: [3, 8, 36, 3] },
};

/** Names of a backbone's parts in checkpoints of timm. */
function timmNames(path: string, prefix: string): StateNames {
  const names: Record<string, string> = {
    [`${path}.stem.0.convolution`]: `${prefix}.conv1`,
    [`${path}.stem.0.normalization`]: `${prefix}.bn1`,
  };
  for (let stage = 0; stage < 4; stage++) {
    const [layerPath, stored] = [`${path}.stages.${stage}.layers.*`, `${prefix}.layer${stage + 1}.*`];
    for (let i = 0; i < 3; i++) {
      names[`${layerPath}.layer.${i}.convolution`] = `${stored}.conv${i + 1}`;
      names[`${layerPath}.layer.${i}.normalization`] = `${stored}.bn${i + 1}`;
    }
    names[`${layerPath}.shortcut.convolution`] = `${stored}.downsample.0`;
    names[`${layerPath}.shortcut.normalization`] = `${stored}.downsample.1`;
  }
  return names;
}

interface BackboneContext {
  /** The property that holds it. */
  readonly path: string;
  /** Name of this network in checkpoints. */
  readonly prefix: string;
  /** True if norms are constants. */
  readonly frozen: boolean;
  /** Used if the config has no `backbone_config`. */
  readonly default: Json;
}

/** The backbone that a detector's config describes, and its names. Throws FormatError for another network. */
export function backboneOf(
  init: Initializer,
  config: ModelConfig,
  { path, prefix, frozen, default: usual }: BackboneContext,
): { backbone: ResNet; names: StateNames } {
  const { backbone_config: backboneConfig } = config.values;
  const backbone = (isObject(backboneConfig) ? backboneConfig : usual) as Json;
  if (backbone.model_type === 'timm_backbone') {
    const known = new ModelConfig(backbone).oneOf('backbone', timm);
    const settings = {
      ...known,
      num_channels: backbone.num_channels ?? 3,
      out_indices: backbone.out_indices ?? [1, 2, 3, 4],
    };
    return { backbone: new ResNet(init, settings, frozen), names: timmNames(path, prefix) };
  }
  const isDeep = new ModelConfig(backbone).oneOf('model_type', { resnet: false, rt_detr_resnet: true });
  return { backbone: new ResNet(init, backbone, frozen), names: resNetNames(path, prefix, isDeep) };
}
