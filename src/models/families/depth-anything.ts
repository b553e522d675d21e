import { describeValue, isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { Conv2d } from '../../nn/conv.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { Module } from '../../nn/module.js';
import type { StateNames } from '../../nn/state-names.js';
import { relu, sigmoid } from '../../ops/activation.js';
import { scale } from '../../ops/binary.js';
import { interpolate } from '../../ops/interpolate.js';
import { slice } from '../../ops/move.js';
import { conv, DepthNeck, fusedMap, isUnusedInNeck, neckNames } from '../depth-neck.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { type Json, ModelConfig } from '../model-config.js';
import { dinov2Module } from '../module-names.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Dinov2, stagesInParts, stagesOf } from './dinov2.js';

/**
 * Depth Anything (Yang et al. 2024, arXiv 2401.10891; version 2: 2406.09414). Features of several layers of DINOv2
 * become maps of different sizes. The maps are fused from the smallest to the largest, and give the depth of each
 * pixel.
 */
export class DepthAnything extends ImageModel {
  readonly backbone: Dinov2;
  readonly neck: DepthNeck;
  readonly depthHead: DepthHead;
  override readonly head = null;
  /** Layers whose output is used. */
  readonly #stages: readonly number[];

  override isOptional(name: string): boolean {
    return super.isOptional(name) || isUnusedInNeck(name);
  }

  constructor(context: FamilyContext) {
    super(context, ['none', 'depth-estimation']);
    const { init, config } = context;
    const backbone = new ModelConfig(config.object('backbone_config'));
    this.backbone = new Dinov2({ init, config: backbone, head: 'none', randomness: this.randomness });
    this.#stages = stagesOf(backbone, config.sizes('neck_hidden_sizes').length);
    this.neck = new DepthNeck(init, config, { inputs: config.size('reassemble_hidden_size'), whole: 0, fits: true });
    this.depthHead = new DepthHead(init, config);
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['pixelValues'];
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    _: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const [size, , ...sides] = pixels.shape as [number, number, number, number];
    const grid = sides.map((side) => Math.floor(side / this.settings.size('patch_size'))) as [number, number];
    const { stages, hiddenStates } = yield* stagesInParts(this.backbone, this.#stages, pixels);
    const maps = stages.map((state) => slice(state, 1, 1, state.shape[1] as number).reshape(size, ...grid, -1));
    const map = fusedMap(this.neck.forward(maps), this.settings); // [B, H, W, features]
    const output: ModelOutput = { predictedDepth: this.depthHead.forward(map, grid) };
    if (options.hiddenStates) output.hiddenStates = hiddenStates;
    return output;
  }

  override moduleName(name: string): string {
    return dinov2Module(name);
  }

  protected override get stateNames(): StateNames {
    return {
      ...this.namesOf(this.backbone, 'backbone', 'backbone', true),
      ...neckNames,
      depth_head: 'head',
    };
  }
}

/** The depth of each pixel. */
class DepthHead extends Module {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly conv3: Conv2d;
  readonly #patch: number;
  readonly #isMetric: boolean;
  readonly #maxDepth: number;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const [fused, width] = [config.size('fusion_hidden_size'), config.size('head_hidden_size')];
    this.#patch = config.size('patch_size');
    this.#isMetric = config.oneOf('depth_estimation_type', { relative: false, metric: true });
    this.#maxDepth = config.numberOrNull('max_depth') ?? 1;
    this.conv1 = conv(init, fused, Math.floor(fused / 2), 3);
    this.conv2 = conv(init, Math.floor(fused / 2), width, 3);
    this.conv3 = conv(init, width, 1, 1);
  }

  /** Returns the depth map, float32 [B, height, width]. `grid`: rows and columns of patches. */
  forward(map: Tensor, grid: GridSize): Tensor {
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
