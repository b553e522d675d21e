import { checkDType, checkShape, describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { Tensor } from '../../core/tensor.js';
import { BatchNorm } from '../../nn/batch-norm.js';
import type { Conv2d } from '../../nn/conv.js';
import type { Initializer } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import type { StateNames } from '../../nn/state-names.js';
import { relu, sigmoid } from '../../ops/activation.js';
import { add, div, greater, mul, scale, sub, where } from '../../ops/binary.js';
import { interpolate } from '../../ops/interpolate.js';
import { concat, permute, slice } from '../../ops/move.js';
import { sum } from '../../ops/reduce.js';
import { log, sqrt } from '../../ops/unary.js';
import { conv } from '../depth-neck.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import type { FamilyContext } from '../pretrained-model.js';
import { type SegformerStage, segformer, segformerMaps, segformerNames, segformerStages } from './segformer.js';

/**
 * GLPN (Kim et al. 2022, arXiv 2201.07436): the depth of each pixel, from SegFormer's stages. A decoder goes from the
 * smallest map to the largest. At each step it weighs the stage's own features against those of the step before.
 */
export class Glpn extends ImageModel {
  readonly stages: readonly SegformerStage[];
  /** Steps of the decoder, the first one for the smallest map. Empty without a head. */
  readonly steps: readonly DecoderStep[];
  readonly depth1: Conv2d | null;
  readonly depth2: Conv2d | null;
  override readonly head = null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'depth-estimation']);
    const { init, config, head } = context;
    this.stages = segformerStages(init, config, this.randomness);
    const width = config.size('decoder_hidden_size');
    const widths = [...config.sizes('hidden_sizes')].reverse();
    const estimates = head === 'depth-estimation';
    this.steps = estimates ? widths.map((size, i) => new DecoderStep(init, size, width, i > 0)) : [];
    this.depth1 = estimates ? conv(init, width, width, 3) : null;
    this.depth2 = estimates ? conv(init, width, 1, 3) : null;
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    { labels }: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const maps = yield* segformerMaps(this.stages, pixels);
    const shown = (map: Tensor) => permute(map, [0, 3, 1, 2]);
    const output: ModelOutput = options.hiddenStates ? { hiddenStates: maps.map(shown) } : {};
    output.lastHiddenState = shown(maps.at(-1) as Tensor);
    if (this.depth1 === null || this.depth2 === null) return output;
    const decoded: Tensor[] = [];
    for (const [i, step] of this.steps.entries())
      decoded.push(step.forward(maps.at(-1 - i) as Tensor, decoded.at(-1) ?? null));
    decoded.push(doubled(decoded.pop() as Tensor));
    const features = decoded.at(this.settings.number('head_in_index')) as Tensor;
    const depth = sigmoid(this.depth2.forward(relu(this.depth1.forward(features)))); // [B, H, W, 1]
    output.predictedDepth = scale(depth.reshape(depth.shape.slice(0, 3)), this.settings.number('max_depth'));
    if (labels !== undefined && (options.loss ?? true)) output.loss = depthLoss(output.predictedDepth, labels);
    return output;
  }

  protected override get bodyName(): string {
    return 'glpn';
  }

  protected override get stateNames(): StateNames {
    const fusion = 'decoder.stages.*.fusion';
    return {
      ...segformerNames('glpn.encoder'),
      'steps.*.conv': 'decoder.stages.*.convolution',
      'steps.*.fusion.conv1': `${fusion}.convolutional_layer1.0`,
      'steps.*.fusion.norm1': `${fusion}.convolutional_layer1.1`,
      'steps.*.fusion.conv2': `${fusion}.convolutional_layer2.0`,
      'steps.*.fusion.norm2': `${fusion}.convolutional_layer2.1`,
      'steps.*.fusion.conv3': `${fusion}.convolutional_layer3`,
      depth1: 'head.head.0',
      depth2: 'head.head.2',
    };
  }
}

/** Doubles height and width, [B, H, W, features]. */
function doubled(map: Tensor): Tensor {
  return interpolate(map, { scaleFactor: 2, mode: 'bilinear', channelsLast: true });
}

/** A step of the decoder: a projection of the stage's map, and the fusion with the result of the step before. */
class DecoderStep extends Module {
  readonly conv: Conv2d | null;
  readonly fusion: SelectiveFusion | null;

  constructor(init: Initializer, inputs: number, width: number, fuses: boolean) {
    super();
    this.conv = inputs === width ? null : conv(init, inputs, width, 1);
    this.fusion = fuses ? new SelectiveFusion(init, width) : null;
  }

  /**
   * Returns [B, 2·H, 2·W, width]. `before`: [B, H, W, width], the result of the step before; null for the first one.
   */
  forward(map: Tensor, before: Tensor | null): Tensor {
    const reduced = this.conv?.forward(map) ?? map;
    return doubled(this.fusion && before ? this.fusion.forward(reduced, before) : reduced);
  }
}

/** The sum of local and global features, with two weights for each pixel (section 3.4 of the paper). */
class SelectiveFusion extends Module {
  readonly conv1: Conv2d;
  readonly norm1: BatchNorm;
  readonly conv2: Conv2d;
  readonly norm2: BatchNorm;
  readonly conv3: Conv2d;

  constructor(init: Initializer, width: number) {
    super();
    const half = Math.trunc(width / 2);
    this.conv1 = conv(init, 2 * width, width, 3);
    this.norm1 = new BatchNorm(init, width, { channelsLast: true });
    this.conv2 = conv(init, width, half, 3);
    this.norm2 = new BatchNorm(init, half, { channelsLast: true });
    this.conv3 = conv(init, half, 2, 3);
  }

  /** Both and the result: float32 [B, H, W, width]. */
  forward(local: Tensor, global: Tensor): Tensor {
    checkShape('fusion', 'the map of the step before', global, local.shape);
    const mixed = relu(this.norm1.forward(this.conv1.forward(concat([local, global], 3))));
    const weights = sigmoid(this.conv3.forward(relu(this.norm2.forward(this.conv2.forward(mixed))))); // [B, H, W, 2]
    const weighted = (map: Tensor, i: number) => mul(map, slice(weights, 3, i, i + 1));
    return add(weighted(local, 0), weighted(global, 1));
  }
}

/**
 * The scale-invariant logarithmic loss (Eigen et al. 2014, arXiv 1406.2283). `depth` and `labels`: float32 [B, H, W].
 * Places whose label is not positive do not count. Throws ArgumentError, ShapeError, DTypeError.
 */
function depthLoss(depth: Tensor, labels: unknown): Tensor {
  if (!(labels instanceof Tensor))
    throw new ArgumentError(`forward: labels is ${describeValue(labels)}, expected a float32 tensor [B, H, W]`);
  checkDType('forward', 'labels', labels, 'float32');
  checkShape('forward', 'labels', labels, depth.shape);
  const isKnown = greater(labels, 0);
  const difference = sub(log(where(isKnown, labels, 1)), log(where(isKnown, depth, 1)));
  const count = sum(where(isKnown, 1, labels.device.zeros(labels.shape)));
  const mean = (x: Tensor) => div(sum(x), count);
  const average = mean(difference);
  return sqrt(sub(mean(mul(difference, difference)), scale(mul(average, average), 0.5)));
}

export const glpn: Family = {
  model: Glpn,
  className: 'GLPN',
  defaults: {
    ...segformer.defaults,
    decoder_hidden_size: 64,
    max_depth: 10,
    head_in_index: -1,
  },
};
