// Losses of detectors, from predictions that are matched with targets.

import type { Tensor } from '../core/tensor.js';
import { sigmoid } from '../ops/activation.js';
import { add, div, maximum, minimum, mul, scale, sub } from '../ops/binary.js';
import { crossEntropy } from '../ops/cross-entropy.js';
import { bceWithLogits } from '../ops/losses.js';
import { gather } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { abs, clamp, softplus } from '../ops/unary.js';
import {
  boxAt,
  type Costs,
  countOf,
  focalCost,
  type Match,
  match,
  overlapOf,
  type PredictedBoxes,
  softmaxCost,
  targetsOf,
  valuesOf,
} from './detection-matching.js';
import type { DetectionTarget, ModelInputs } from './inputs.js';
import { maskLoss } from './mask-loss.js';
import type { ModelConfig } from './model-config.js';

export type { Match, PredictedBoxes as Found } from './detection-matching.js';

type Targets = readonly DetectionTarget[];

/**
 * The loss of DETR: cross entropy of the classes, differences and overlaps of the boxes, and the loss of masks if there
 * are some. In the cross entropy, predictions without a target count `eos_coefficient`. `found` are the predictions,
 * then those of earlier layers. Throws ArgumentError, ShapeError.
 */
export function detectionLoss(
  found: readonly [PredictedBoxes, ...PredictedBoxes[]],
  labels: ModelInputs['labels'],
  config: ModelConfig,
): Tensor {
  const [batch, , classes] = found[0].logits.shape as [number, number, number];
  const targets = targetsOf(labels, batch, classes - 1);
  const [ofClass, ofBox, ofOverlap] = numbersOf(config, ['class_cost', 'bbox_cost', 'giou_cost']);
  const weights = numbersOf(config, ['bbox_loss_coefficient', 'giou_loss_coefficient']) as [number, number];
  const costs = { classCost: softmaxCost, ofClass, ofBox, ofOverlap } as Costs;
  const losses = found.map((prediction) => {
    const matches = match(prediction, targets, costs);
    const ofClasses = rejectingLoss(prediction, targets, matches, config.number('eos_coefficient'));
    const loss = add(ofClasses, boxLoss(prediction, targets, matches, weights, countOf(targets)));
    return prediction.predMasks ? add(loss, maskLoss(prediction.predMasks, targets, matches, config)) : loss;
  });
  return losses.reduce((total, loss) => add(total, loss));
}

/** Cross entropy, in which the last class stands for no object and has the weight `emptyWeight`. */
function rejectingLoss(
  { logits }: PredictedBoxes,
  targets: Targets,
  matches: readonly Match[],
  emptyWeight: number,
): Tensor {
  const { device } = logits;
  const [batch, queries, classes] = logits.shape as [number, number, number];
  const wanted = new Int32Array(batch * queries).fill(classes - 1);
  for (const { image, query, target } of matches)
    wanted[image * queries + query] = targets[image]?.classLabels[target] as number;
  const weight = Float32Array.from({ length: classes }, (_, i) => (i === classes - 1 ? emptyWeight : 1));
  return crossEntropy(logits.reshape(batch * queries, classes), device.tensor(wanted), {
    weight: device.tensor(weight),
  });
}

/** Predictions of RT-DETR that have a loss. */
export interface RtDetrFound {
  /** Predictions of the last layer, then of earlier layers and of the encoder. */
  readonly found: readonly [PredictedBoxes, ...PredictedBoxes[]];
  /** Predictions of all layers for denoising queries, which are matched beforehand. Null if there are none. */
  readonly denoised: {
    readonly found: readonly PredictedBoxes[];
    readonly matches: readonly Match[];
    groups: number;
  } | null;
}

/**
 * The loss of RT-DETR: the varifocal loss of the classes (Zhang et al. 2020, arXiv 2008.13367), and differences and
 * overlaps of the boxes.
 */
export function rtDetrLoss({ found, denoised }: RtDetrFound, targets: Targets, config: ModelConfig): Tensor {
  const [ofClass, ofBox, ofOverlap] = numbersOf(config, ['class', 'bbox', 'giou'], (name) => `matcher_${name}_cost`);
  const [alpha, gamma] = numbersOf(config, ['matcher_alpha', 'matcher_gamma']) as [number, number];
  const classCost = config.flag('use_focal_loss') ? focalCost(alpha, gamma) : softmaxCost;
  const costs = { classCost, ofClass, ofBox, ofOverlap } as Costs;
  const count = countOf(targets);
  const lossOf = (prediction: PredictedBoxes, matches: readonly Match[], divisor: number) => {
    const weights = numbersOf(config, ['weight_loss_bbox', 'weight_loss_giou']) as [number, number];
    const ofClasses = scale(
      varifocalLoss(prediction, targets, matches, config),
      config.number('weight_loss_vfl') / divisor,
    );
    return add(ofClasses, boxLoss(prediction, targets, matches, weights, divisor));
  };
  const losses = found.map((prediction) => lossOf(prediction, match(prediction, targets, costs), count));
  if (denoised) {
    const { matches, groups } = denoised;
    losses.push(...denoised.found.map((prediction) => lossOf(prediction, matches, count * groups)));
  }
  return losses.reduce((total, loss) => add(total, loss));
}

/** Binary cross entropy with the overlap of a matched box as target. Other classes count α·probability^γ. */
function varifocalLoss(
  found: PredictedBoxes,
  targets: Targets,
  matches: readonly Match[],
  config: ModelConfig,
): Tensor {
  const { logits } = found;
  const { scores, boxes } = valuesOf(found);
  const [, queries, classes] = logits.shape as [number, number, number];
  const [alpha, gamma] = numbersOf(config, ['focal_loss_alpha', 'focal_loss_gamma']) as [number, number];
  const wanted = new Float32Array(scores.length);
  const weight = Float32Array.from(scores, (score) => alpha * (1 / (1 + Math.exp(-score))) ** gamma);
  for (const pair of matches) {
    const index = (pair.image * queries + pair.query) * classes + classOf(targets, pair);
    weight[index] = wanted[index] = overlapWith(boxes, queries, targets, pair);
  }
  const like = (values: Float32Array) => logits.device.tensor(values, logits.shape);
  return bceWithLogits(logits, like(wanted), { weight: like(weight), reduction: 'sum' });
}

/**
 * The loss of LW-DETR (Chen et al. 2024, arXiv 2406.03459) and RF-DETR: cross entropy of classes, and differences and
 * overlaps of boxes. Targets of classes grow with the overlap of the box. `found` are the predictions, then those of
 * earlier layers and of the encoder. Their queries are split into `group_detr` groups, in evaluation, too, as in
 * transformers.
 */
export function lwDetrLoss(
  found: readonly [PredictedBoxes, ...PredictedBoxes[]],
  labels: ModelInputs['labels'],
  config: ModelConfig,
): Tensor {
  const [batch, queries, classes] = found[0].logits.shape as [number, number, number];
  const targets = targetsOf(labels, batch, classes);
  const groups = Math.min(config.size('group_detr'), queries);
  const [ofClass, ofBox, ofOverlap] = numbersOf(config, ['class_cost', 'bbox_cost', 'giou_cost']);
  const weights = numbersOf(config, ['bbox_loss_coefficient', 'giou_loss_coefficient']) as [number, number];
  const costs = { classCost: focalCost(0.25, 2), ofClass, ofBox, ofOverlap, groups } as Costs;
  const objects = targets.reduce((total, { boxes }) => total + boxes.length, 0);
  const count = Math.max(1, objects * groups);
  const losses = found.map((prediction) => {
    const matches = match(prediction, targets, costs);
    const ofClasses = qualityLoss(prediction, targets, matches, config.number('focal_alpha'));
    const weighted = scale(ofClasses, config.number('class_loss_coefficient') / count);
    return add(weighted, boxLoss(prediction, targets, matches, weights, count));
  });
  return losses.reduce((total, loss) => add(total, loss));
}

/**
 * Σ -q·ln p - (1 - q)·ln(1 - p) of matched classes. q is the constant p^α · overlap^(1 - α). For all other classes, the
 * sum has -p²·ln(1 - p).
 */
function qualityLoss(found: PredictedBoxes, targets: Targets, matches: readonly Match[], alpha: number): Tensor {
  const { logits } = found;
  const { scores, boxes } = valuesOf(found);
  const [, queries, classes] = logits.shape as [number, number, number];
  const [positive, negative] = [new Float32Array(scores.length), new Float32Array(scores.length)];
  const isOther = new Float32Array(scores.length).fill(1);
  for (const pair of matches) {
    const index = (pair.image * queries + pair.query) * classes + classOf(targets, pair);
    const share = 1 / (1 + Math.exp(-(scores[index] as number)));
    const overlap = overlapWith(boxes, queries, targets, pair);
    const quality = Math.max(0.01, share ** alpha * overlap ** (1 - alpha));
    [positive[index], negative[index], isOther[index]] = [quality, 1 - quality, 0];
  }
  const like = (values: Float32Array) => logits.device.tensor(values, logits.shape);
  const share = sigmoid(logits);
  const negativeWeights = add(mul(mul(share, share), like(isOther)), like(negative));
  const surprise = (x: Tensor) => softplus(x, { threshold: Number.MAX_VALUE });
  return sum(add(mul(like(positive), surprise(scale(logits, -1))), mul(negativeWeights, surprise(logits))));
}

function numbersOf(config: ModelConfig, names: readonly string[], keyOf = (name: string) => name): number[] {
  return names.map((name) => config.number(keyOf(name)));
}

function classOf(targets: Targets, { image, target }: Match): number {
  return targets[image]?.classLabels[target] as number;
}

/** Intersection over union of a prediction and its target. `boxes`: [B, queries, 4]. */
function overlapWith(boxes: Float32Array, queries: number, targets: Targets, { image, query, target }: Match): number {
  const other = targets[image]?.boxes[target] as unknown as readonly [number, number, number, number];
  return overlapOf(boxAt(boxes, image * queries + query), other).overlap;
}

/**
 * Differences and overlaps of matched boxes, by the `weights` of both, divided by `count`. 0 if nothing is matched.
 */
function boxLoss(
  { predBoxes }: PredictedBoxes,
  targets: Targets,
  matches: readonly Match[],
  [ofBox, ofOverlap]: readonly [number, number],
  count: number,
): Tensor {
  const { device } = predBoxes;
  if (matches.length === 0) return device.zeros([]);
  const [batch, queries] = predBoxes.shape as [number, number, number];
  const rows = Int32Array.from(matches, ({ image, query }) => image * queries + query);
  const boxes = gather(predBoxes.reshape(batch * queries, 4), device.tensor(rows)); // [objects, 4]
  const targetBoxes = matches.flatMap(({ image, target }) => targets[image]?.boxes[target] ?? []);
  const expectedBoxes = device.tensor(Float32Array.from(targetBoxes), [matches.length, 4]);
  const apart = sum(abs(sub(boxes, expectedBoxes)));
  return scale(add(scale(apart, ofBox), scale(overlapLoss(boxes, expectedBoxes), ofOverlap)), 1 / count);
}

/** Σ 1 - generalized overlap of boxes [objects, 4]. */
function overlapLoss(a: Tensor, b: Tensor): Tensor {
  const sides = (boxes: Tensor) => {
    const [centre, half] = [boxes.columns(0, 2), scale(boxes.columns(2, 4), 0.5)];
    return { low: sub(centre, half), high: add(centre, half) };
  };
  const area = (extent: Tensor) => mul(extent.columns(0, 1), extent.columns(1, 2)); // [objects, 1]
  const [first, two] = [sides(a), sides(b)];
  const shared = area(clamp(sub(minimum(first.high, two.high), maximum(first.low, two.low)), { min: 0 }));
  const union = sub(add(area(a.columns(2, 4)), area(b.columns(2, 4))), shared);
  const hull = area(sub(maximum(first.high, two.high), minimum(first.low, two.low)));
  const overlap = sub(div(shared, union), div(sub(hull, union), hull));
  return sum(sub(add(scale(overlap, 0), 1), overlap));
}
