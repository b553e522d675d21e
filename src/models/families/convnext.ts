import type { Tensor } from '../../core/tensor.js';
import { Conv2d } from '../../nn/conv.js';
import { DropPath } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import { LayerScale } from '../../nn/layer-scale.js';
import { Linear, type Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Activation } from '../../ops/activation.js';
import { add, div, mul } from '../../ops/binary.js';
import { permute } from '../../ops/move.js';
import { mean } from '../../ops/reduce.js';
import { norm } from '../../ops/statistics.js';
import { activationOf, heightAndWidth } from '../config-values.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import type { Json } from '../model-config.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/** Epsilon of all norms except the last. */
const EPS = 1e-6;

/**
 * ConvNeXt (Liu et al. 2022, arXiv 2201.03545): a convolutional network with the structure of a Transformer. Maps are
 * Shape [B, H, W, C]: images, rows, columns, features.
 */
export class ConvNext extends ImageModel {
  readonly patches: Conv2d;
  readonly patchNorm: LayerNorm;
  readonly stages: readonly ConvNextStage[];
  /** Normalizes the mean of an image's features. Models that give only the features may lack it. */
  readonly pooler: LayerNorm;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'image-classification']);
    const { init, config, head } = context;
    const depths = config.sizes('depths');
    const widths = config.sizes('hidden_sizes', depths.length);
    config.expect('num_stages', depths.length);
    const [first, last] = [widths[0] as number, widths.at(-1) as number];
    const patch = heightAndWidth(config, 'patch_size');
    this.patches = new Conv2d(init, {
      inputs: config.size('num_channels'),
      outputs: first,
      kernel: patch,
      stride: patch,
      channelsLast: true,
    });
    this.patchNorm = new LayerNorm(init, first, EPS);
    const layers = depths.reduce((sum, depth) => sum + depth, 0);
    const drop = config.number('drop_path_rate') / Math.max(layers - 1, 1);
    const activation = activationOf(config.text('hidden_act'));
    let layer = 0;
    this.stages = depths.map((depth, i) => {
      const width = widths[i] as number;
      const before = i === 0 ? null : (widths[i - 1] as number);
      return new ConvNextStage(init, before, width, depth, () => {
        const dropPath = new DropPath(drop * layer++, this.randomness);
        return new ConvNextLayer(init, { width, activation, dropPath, ...this.scaling });
      });
    });
    this.pooler = new LayerNorm(init, last, config.number('layer_norm_eps'));
    const out = () => new Linear(init, last, labelsOf(config.values).length);
    this.head = head === 'none' ? null : new PredictionHead({ pick: 'tokens', out: out() });
  }

  /** Options of layer scale and response normalization. */
  protected get scaling(): Pick<ConvNextLayerParts, 'scale' | 'responseNorm'> {
    return { scale: this.settings.number('layer_scale_init_value'), responseNorm: false };
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    let x = this.patchNorm.forward(this.patches.forward(permute(pixels, [0, 2, 3, 1]))); // [B, H, W, C]
    const states = [x];
    for (const stage of this.stages) {
      x = stage.forward(x);
      states.push(x);
      yield;
    }
    const channelsFirst = (map: Tensor) => permute(map, [0, 3, 1, 2]);
    const output: ModelOutput = options.hiddenStates ? { hiddenStates: states.map(channelsFirst) } : {};
    const pooled = this.pooler.forward(mean(x, { axis: [1, 2] })); // [B, C]
    const scores = this.classified(pooled, inputs, options);
    return { ...output, lastHiddenState: channelsFirst(x), poolerOutput: pooled, ...scores };
  }

  protected override get bodyName(): string {
    return this.settings.type;
  }

  protected override get stateNames(): StateNames {
    const { bodyName } = this;
    const stage = `${bodyName}.encoder.stages.*`;
    const layer = `${stage}.layers.*`;
    return {
      patches: `${bodyName}.embeddings.patch_embeddings`,
      patch_norm: `${bodyName}.embeddings.layernorm`,
      'stages.*.norm': `${stage}.downsampling_layer.0`,
      'stages.*.conv': `${stage}.downsampling_layer.1`,
      'stages.*.layers.*.depthwise': `${layer}.dwconv`,
      'stages.*.layers.*.norm': `${layer}.layernorm`,
      'stages.*.layers.*.linear1': `${layer}.pwconv1`,
      'stages.*.layers.*.linear2': `${layer}.pwconv2`,
      'stages.*.layers.*.scale.weight': `${layer}.layer_scale_parameter`,
      'stages.*.layers.*.response_norm.weight': { name: `${layer}.grn.weight`, leading: [1, 1, 1] },
      'stages.*.layers.*.response_norm.bias': { name: `${layer}.grn.bias`, leading: [1, 1, 1] },
      pooler: `${bodyName}.layernorm`,
      'head.out': 'classifier',
    };
  }
}

/** ConvNeXt V2 (Woo et al. 2023, arXiv 2301.00808): global response normalization replaces layer scale. */
export class ConvNextV2 extends ConvNext {
  protected override get scaling(): Pick<ConvNextLayerParts, 'scale' | 'responseNorm'> {
    return { scale: 0, responseNorm: true };
  }
}

/** Layers of one resolution, after a convolution that halves the rows and columns of the stage before. */
class ConvNextStage extends Module {
  readonly norm: LayerNorm | null;
  readonly conv: Conv2d | null;
  readonly layers: readonly ConvNextLayer[];

  /** `before`: features of the stage before; null for the first stage. */
  constructor(init: Initializer, before: number | null, width: number, depth: number, layer: () => ConvNextLayer) {
    super();
    this.norm = before === null ? null : new LayerNorm(init, before, EPS);
    this.conv =
      before === null
        ? null
        : new Conv2d(init, { inputs: before, outputs: width, kernel: [2, 2], stride: 2, channelsLast: true });
    this.layers = Array.from({ length: depth }, layer);
  }

  /** float32 [B, H, W, before] → [B, H / 2, W / 2, width]. */
  forward(x: Tensor): Tensor {
    const { norm, conv, layers } = this;
    const start = norm && conv ? conv.forward(norm.forward(x)) : x;
    return layers.reduce((y, layer) => layer.forward(y), start);
  }
}

interface ConvNextLayerParts {
  readonly width: number;
  readonly activation: Activation;
  readonly dropPath: DropPath;
  /** Initial value of layer scale, a trained factor of each feature of the branch. 0: no layer scale. */
  readonly scale: number;
  /** True for global response normalization of the hidden features. */
  readonly responseNorm: boolean;
}

/** A depthwise convolution mixes pixels, and two projections mix features. One residual connection spans both. */
class ConvNextLayer extends Module {
  readonly depthwise: Conv2d;
  readonly norm: LayerNorm;
  readonly linear1: Projection;
  readonly responseNorm: ResponseNorm | null;
  readonly linear2: Projection;
  readonly scale: LayerScale | null;
  readonly dropPath: DropPath;
  readonly #activation: Activation;

  constructor(init: Initializer, { width, activation, dropPath, scale, responseNorm }: ConvNextLayerParts) {
    super();
    this.depthwise = new Conv2d(init, {
      inputs: width,
      outputs: width,
      kernel: [7, 7],
      padding: 3,
      groups: width,
      channelsLast: true,
    });
    this.norm = new LayerNorm(init, width, EPS);
    this.linear1 = new Linear(init, width, 4 * width);
    this.responseNorm = responseNorm ? new ResponseNorm(init, 4 * width) : null;
    this.linear2 = new Linear(init, 4 * width, width);
    this.scale = scale > 0 ? new LayerScale(init, width, scale) : null;
    this.dropPath = dropPath;
    this.#activation = activation;
  }

  /** float32 [B, H, W, width] → the same. */
  forward(x: Tensor): Tensor {
    const mixed = this.norm.forward(this.depthwise.forward(x));
    const hidden = this.linear1.forward(mixed, this.#activation);
    const y = this.linear2.forward(this.responseNorm?.forward(hidden) ?? hidden);
    const scaled = this.scale?.forward(y) ?? y;
    const batch = x.shape[0] as number;
    // Drop path drops the branch of whole images, so each image is one row.
    return add(x, this.dropPath.forward(scaled.reshape(batch, -1)).reshape(x.shape));
  }
}

/**
 * Global response normalization: weight ⊙ (x · n) + bias + x. n is a feature's L2 norm over the image, divided by the
 * mean of these norms over all features.
 */
class ResponseNorm extends Module {
  /** `weight` and `bias`: float32 [features]. */
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(init: Initializer, features: number) {
    super();
    this.weight = init.constant([features], 0);
    this.bias = init.constant([features], 0);
  }

  /** float32 [B, H, W, features] → the same. */
  forward(x: Tensor): Tensor {
    const response = norm(x, { axis: [1, 2], keepDims: true }); // [B, 1, 1, features]
    const share = div(response, add(mean(response, { axis: -1, keepDims: true }), 1e-6));
    return add(add(mul(this.weight, mul(x, share)), this.bias), x);
  }
}

const defaults: Json = {
  num_channels: 3,
  patch_size: 4,
  hidden_sizes: [96, 192, 384, 768],
  depths: [3, 3, 9, 3],
  hidden_act: 'gelu',
  layer_norm_eps: 1e-12,
  drop_path_rate: 0,
};

export const convNext: Family = {
  model: ConvNext,
  className: 'ConvNext',
  defaults: { ...defaults, layer_scale_init_value: 1e-6 },
};

export const convNextV2: Family = { model: ConvNextV2, className: 'ConvNextV2', defaults };
