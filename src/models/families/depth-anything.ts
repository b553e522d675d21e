import { describeValue, isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { Conv2d, ConvTranspose2d } from '../../nn/conv.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { Module } from '../../nn/module.js';
import type { StateNames } from '../../nn/state-names.js';
import { relu, sigmoid } from '../../ops/activation.js';
import { add, scale } from '../../ops/binary.js';
import { interpolate } from '../../ops/interpolate.js';
import { slice } from '../../ops/move.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { type Json, ModelConfig } from '../model-config.js';
import { dinov2Module } from '../module-names.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Dinov2 } from './dinov2.js';

/**
 * Depth Anything (Yang et al. 2024, arXiv 2401.10891; version 2: 2406.09414). Features of several layers of DINOv2 become
 * maps of different sizes. The maps are fused from the smallest to the largest, and give the depth of each pixel.
 */
export class DepthAnything extends ImageModel {
  readonly backbone: Dinov2;
  readonly reassemble: readonly ReassembleLayer[];
  readonly convs: readonly Conv2d[];
  readonly fusion: readonly FusionLayer[];
  readonly depthHead: DepthHead;
  override readonly head = null;
  /** Layers whose output is used. */
  readonly #stages: readonly number[];

  /** The first layer that joins maps has only one, so a part of it is never used. */
  override isOptional(name: string): boolean {
    return super.isOptional(name) || name.startsWith('neck.fusion_stage.layers.0.residual_layer1.');
  }

  constructor(context: FamilyContext) {
    super(context, ['none', 'depth-estimation']);
    const { init, config } = context;
    const backbone = new ModelConfig(config.object('backbone_config'));
    backbone.expect('reshape_hidden_states', false);
    const widths = config.sizes('neck_hidden_sizes');
    const fused = config.size('fusion_hidden_size');
    this.backbone = new Dinov2({ init, config: backbone, head: 'none', randomness: this.randomness });
    this.#stages = stagesOf(backbone, widths.length);
    const factors = config.list('reassemble_factors');
    const inputs = config.size('reassemble_hidden_size');
    this.reassemble = widths.map((width, i) => new ReassembleLayer(init, inputs, width, factors[i]));
    this.convs = widths.map((width) => conv(init, width, fused, 3, false));
    this.fusion = widths.map(() => new FusionLayer(init, fused));
    this.depthHead = new DepthHead(init, config);
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['pixelValues'];
  }

  protected override *see(pixels: Tensor, _: ModelInputs, options: ForwardOptions): Generator<unknown, ModelOutput> {
    const { vision } = this.backbone;
    const [size, , height, width] = pixels.shape as [number, number, number, number];
    const { hiddenStates } = yield* vision.forwardByParts({ pixelValues: pixels });
    const states = hiddenStates.map((rows) => rows.reshape(size, -1, rows.shape[1] as number)); // [B, tokens, dModel]
    const grid = [height, width].map((side) => Math.floor(side / this.settings.size('patch_size'))) as [number, number];
    const norm = this.settings.object('backbone_config').apply_layernorm === false ? null : vision.norm;
    const maps = this.#stages.map((stage, i) => {
      const state = states[stage] as Tensor;
      const patches = slice(norm?.forward(state) ?? state, 1, 1, state.shape[1] as number);
      const map = patches.reshape(size, ...grid, -1); // [B, H, W, features]
      return (this.convs[i] as Conv2d).forward((this.reassemble[i] as ReassembleLayer).forward(map));
    });
    const output: ModelOutput = { predictedDepth: this.depthHead.forward(this.#fuse(maps), grid) };
    if (options.hiddenStates) output.hiddenStates = states;
    return output;
  }

  /**
   * Fuses maps from the smallest to the largest. Each layer adds the next larger map to the result of the layer before.
   */
  #fuse(maps: readonly Tensor[]): Tensor[] {
    const fromSmallest = [...maps].reverse();
    const fused: Tensor[] = [];
    for (const [i, map] of fromSmallest.entries()) {
      const next = fromSmallest[i + 1];
      const size = next ? (next.shape.slice(1, 3) as unknown as GridSize) : null;
      const before = fused.at(-1);
      const layer = this.fusion[i] as FusionLayer;
      fused.push(before ? layer.forward(before, map, size) : layer.forward(map, null, size));
    }
    return fused;
  }

  override moduleName(name: string): string {
    return dinov2Module(name);
  }

  protected override get stateNames(): StateNames {
    return {
      ...this.namesOf(this.backbone, 'backbone', 'backbone', true),
      'reassemble.*': 'neck.reassemble_stage.layers.*',
      'convs.*': 'neck.convs.*',
      'fusion.*': 'neck.fusion_stage.layers.*',
      depth_head: 'head',
    };
  }
}

/** Returns a convolution that keeps height and width. */
function conv(init: Initializer, inputs: number, outputs: number, kernel: 1 | 3, bias = true): Conv2d {
  return new Conv2d(init, inputs, outputs, [kernel, kernel], { padding: (kernel - 1) / 2, channelsLast: true }, bias);
}

/** Returns the layers in `out_features` or `out_indices`. 0 stands for the embeddings. Throws FormatError. */
function stagesOf(backbone: ModelConfig, count: number): number[] {
  const last = backbone.size('num_hidden_layers');
  const { out_features: names, out_indices: indices } = backbone.values;
  const stages = Array.isArray(names)
    ? names.map((name) => (name === 'stem' ? 0 : Number(/^stage(\d+)$/.exec(String(name))?.[1])))
    : ((indices ?? [last]) as number[]).map((index) => (index < 0 ? index + last + 1 : index));
  const isFit = stages.every((stage, i) => stage <= last && stage > (stages[i - 1] ?? -1));
  if (stages.length === count && isFit) return stages;
  const given = describeValue(names ?? indices);
  throw new FormatError(
    `config.json: out_features of backbone_config is ${given}, expected ${count} of ${last} layers, in their order`,
  );
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
      this.resize = new ConvTranspose2d(init, width, width, [growth, growth], { stride: growth, channelsLast });
    else if (factor === 1) this.resize = null;
    else {
      const placing = { stride: Math.trunc(1 / factor), padding: 1, channelsLast };
      this.resize = new Conv2d(init, width, width, [3, 3], placing);
    }
  }

  forward(x: Tensor): Tensor {
    const map = this.projection.forward(x);
    return this.resize?.forward(map) ?? map;
  }
}

/** x + conv(relu(conv(relu(x)))) */
class ResidualConvs extends Module {
  readonly convolution1: Conv2d;
  readonly convolution2: Conv2d;

  constructor(init: Initializer, width: number) {
    super();
    this.convolution1 = conv(init, width, width, 3);
    this.convolution2 = conv(init, width, width, 3);
  }

  forward(x: Tensor): Tensor {
    return add(this.convolution2.forward(relu(this.convolution1.forward(relu(x)))), x);
  }
}

/** Adds a map to the fused map, and enlarges the sum. */
class FusionLayer extends Module {
  readonly projection: Conv2d;
  readonly residualLayer1: ResidualConvs;
  readonly residualLayer2: ResidualConvs;

  constructor(init: Initializer, width: number) {
    super();
    this.projection = conv(init, width, width, 1);
    this.residualLayer1 = new ResidualConvs(init, width);
    this.residualLayer2 = new ResidualConvs(init, width);
  }

  /** `size`: height and width of the result; null for twice those of `fused`. */
  forward(fused: Tensor, map: Tensor | null, size: GridSize | null): Tensor {
    const own = fused.shape.slice(1, 3) as unknown as GridSize;
    let x = fused;
    if (map) {
      const isFit = `${map.shape}` === `${fused.shape}`;
      const resized = isFit ? map : interpolate(map, { size: own, mode: 'bilinear', channelsLast: true });
      x = add(fused, this.residualLayer1.forward(resized));
    }
    const to = size ?? ([2 * own[0], 2 * own[1]] as const);
    const options = { size: to, mode: 'bilinear', alignCorners: true, channelsLast: true } as const;
    return this.projection.forward(interpolate(this.residualLayer2.forward(x), options));
  }
}

/** The depth of each pixel. */
class DepthHead extends Module {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly conv3: Conv2d;
  readonly #index: number;
  readonly #patch: number;
  readonly #isMetric: boolean;
  readonly #maxDepth: number;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const [fused, width] = [config.size('fusion_hidden_size'), config.size('head_hidden_size')];
    this.#index = config.number('head_in_index');
    this.#patch = config.size('patch_size');
    this.#isMetric = config.oneOf('depth_estimation_type', { relative: false, metric: true });
    this.#maxDepth = config.numberOrNull('max_depth') ?? 1;
    this.conv1 = conv(init, fused, Math.floor(fused / 2), 3);
    this.conv2 = conv(init, Math.floor(fused / 2), width, 3);
    this.conv3 = conv(init, width, 1, 1);
  }

  /** Returns the depth map, float32 [B, height, width]. `maps`: the fused maps. `grid`: rows and columns of patches. */
  forward(maps: readonly Tensor[], grid: GridSize): Tensor {
    const map = maps.at(this.#index);
    if (map === undefined)
      throw new FormatError(`config.json: head_in_index is ${this.#index}, but there are ${maps.length} maps`);
    const size = [grid[0] * this.#patch, grid[1] * this.#patch] as const;
    const options = { size, mode: 'bilinear', alignCorners: true, channelsLast: true } as const;
    const features = relu(this.conv2.forward(interpolate(this.conv1.forward(map), options)));
    const depth = this.conv3.forward(features);
    const positive = this.#isMetric ? sigmoid(depth) : relu(depth);
    return scale(positive, this.#maxDepth).reshape(depth.shape[0] as number, ...size);
  }
}

const BACKBONE: Json = {
  model_type: 'dinov2',
  image_size: 518,
  hidden_size: 384,
  num_attention_heads: 6,
  out_indices: [9, 10, 11, 12],
  reshape_hidden_states: false,
};

export const depthAnything: Family = {
  model: DepthAnything,
  className: 'DepthAnything',
  defaults: {
    patch_size: 14,
    reassemble_hidden_size: 384,
    reassemble_factors: [4, 2, 1, 0.5],
    neck_hidden_sizes: [48, 96, 192, 384],
    fusion_hidden_size: 64,
    head_in_index: -1,
    head_hidden_size: 32,
    depth_estimation_type: 'relative',
    max_depth: 1,
  },
  complete: (config) => {
    config.backbone_config ??= BACKBONE;
    const { backbone_config: backbone } = config;
    const type = isObject(backbone) ? backbone.model_type : undefined;
    if (type !== 'dinov2')
      throw new FormatError(`config.json: backbone_config.model_type is ${describeValue(type)}, expected 'dinov2'`);
  },
  parts: { backbone_config: 'dinov2' },
};
