// Targets of detectors, and their matching with predictions (Carion et al. 2020, arXiv 2005.12872).

import { isObject } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { assign } from './assignment.js';
import type { DetectionTarget, ModelInputs } from './inputs.js';

/** Predictions of a detector: `logits` [B, queries, classes] and `predBoxes` [B, queries, 4] like those of targets. */
export interface PredictedBoxes {
  readonly logits: Tensor;
  readonly predBoxes: Tensor;
  /** Logits of masks, [B, queries, height, width]. Default: none. */
  predMasks?: Tensor;
}

/** A prediction and the target that it is matched with. */
export interface Match {
  readonly image: number;
  readonly query: number;
  readonly target: number;
}

/** Centre x, centre y, width and height, as shares of the image. */
type Box = readonly [number, number, number, number];

/**
 * Returns intersection over union of two boxes, and its generalized form (Rezatofighi et al. 2019, arXiv 1902.09630).
 */
export function overlapOf(a: Box, b: Box): { overlap: number; generalized: number } {
  const side = (box: Box, axis: 0 | 1) => {
    const [centre, half] = [box[axis], (box[axis + 2] as number) / 2];
    return [centre - half, centre + half] as const;
  };
  let [shared, hull] = [1, 1];
  for (const axis of [0, 1] as const) {
    const [[low, high], [otherLow, otherHigh]] = [side(a, axis), side(b, axis)];
    shared *= Math.max(0, Math.min(high, otherHigh) - Math.max(low, otherLow));
    hull *= Math.max(high, otherHigh) - Math.min(low, otherLow);
  }
  const union = a[2] * a[3] + b[2] * b[3] - shared;
  const overlap = shared / union;
  return { overlap, generalized: overlap - (hull - union) / hull };
}

/** Host copies of predictions. */
interface Values {
  readonly scores: Float32Array;
  readonly boxes: Float32Array;
}

/** Reads predictions. */
export function valuesOf({ logits, predBoxes }: PredictedBoxes): Values {
  const [scores, boxes] = [logits.dataSync(), predBoxes.dataSync()] as Float32Array[];
  return { scores: scores as Float32Array, boxes: boxes as Float32Array };
}

/** Box number `row` of [rows, 4]. */
export function boxAt(boxes: Float32Array, row: number): Box {
  return Array.from(boxes.subarray(4 * row, 4 * row + 4)) as unknown as Box;
}

/** Cost of each class for a prediction, given its row of logits. */
export type ClassCost = (logits: Float32Array) => (label: number) => number;

/** The negative probability of a class by softmax. */
export const softmaxCost: ClassCost = (logits) => {
  const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const total = logits.reduce((all, score) => all + Math.exp(score - max), 0);
  return (label) => -Math.exp((logits[label] as number) - max) / total;
};

/** The focal loss of a class (Lin et al. 2017, arXiv 1708.02002) less that of its absence. */
export function focalCost(alpha: number, gamma: number): ClassCost {
  return (logits) => (label) => {
    const share = 1 / (1 + Math.exp(-(logits[label] as number)));
    const absent = -(1 - alpha) * share ** gamma * Math.log(1 - share + 1e-8);
    return -alpha * (1 - share) ** gamma * Math.log(share + 1e-8) - absent;
  };
}

/** Weights of the parts of a matching's cost. */
export interface Costs {
  readonly classCost: ClassCost;
  readonly ofClass: number;
  readonly ofBox: number;
  readonly ofOverlap: number;
  /**
   * Groups of queries, each of which is matched with all targets. Queries beyond the last group have none. Default: 1.
   */
  readonly groups?: number | undefined;
}

/** Cost of a prediction that is not finite: transformers takes the largest number, too. */
const WORST = 3.4028234663852886e38;

/** Matches targets with predictions. If there are more targets than queries, some targets are left out. */
export function match(found: PredictedBoxes, targets: readonly DetectionTarget[], costs: Costs): Match[] {
  const { scores, boxes } = valuesOf(found);
  const [, queries, classes] = found.logits.shape as [number, number, number];
  const { classCost, ofClass, ofBox, ofOverlap, groups = 1 } = costs;
  const count = Math.floor(queries / groups);
  const matchGroup = ({ classLabels, boxes: wanted }: DetectionTarget, image: number, first: number): Match[] => {
    const objects = classLabels.length;
    const table = new Float64Array(count * objects);
    for (let i = 0; i < count; i++) {
      const row = image * queries + first + i;
      const costOf = classCost(scores.subarray(row * classes, (row + 1) * classes));
      const box = boxAt(boxes, row);
      classLabels.forEach((label, target) => {
        const other = wanted[target] as unknown as Box;
        const apart = box.reduce((all, value, k) => all + Math.abs(value - (other[k] as number)), 0);
        const cost = ofBox * apart + ofClass * costOf(label) - ofOverlap * overlapOf(box, other).generalized;
        table[i * objects + target] = Number.isFinite(cost) ? cost : WORST;
      });
    }
    return assign(table, count, objects).map(([query, target]) => ({ image, query: first + query, target }));
  };
  return targets.flatMap((target, image) =>
    Array.from({ length: groups }, (_, group) => matchGroup(target, image, group * count)).flat(),
  );
}

/** Returns the targets of `labels`. Throws ArgumentError or ShapeError unless they fit a batch and its classes. */
export function targetsOf(labels: ModelInputs['labels'], batch: number, classes: number): readonly DetectionTarget[] {
  const isTarget = (value: unknown) =>
    isObject(value) && Array.isArray(value.classLabels) && Array.isArray(value.boxes);
  if (!Array.isArray(labels) || !(labels as unknown[]).every(isTarget))
    throw new ArgumentError(
      'forward: labels are not detection targets, expected { classLabels, boxes } for each image',
    );
  const targets = labels as unknown as readonly DetectionTarget[];
  if (targets.length !== batch)
    throw new ShapeError(`forward: labels have ${targets.length} targets, expected one for each of ${batch} images`);
  for (const [i, { classLabels, boxes }] of targets.entries()) {
    const isLabel = (label: number) => Number.isInteger(label) && label >= 0 && label < classes;
    if (!classLabels.every(isLabel))
      throw new ArgumentError(`forward: labels[${i}] has other classes, expected integers from 0 to ${classes - 1}`);
    const isBox = (box: unknown) => Array.isArray(box) && box.length === 4 && box.every(Number.isFinite);
    if (boxes.length !== classLabels.length || !boxes.every(isBox))
      throw new ShapeError(`forward: labels[${i}] has no box of four numbers for each of its classes`);
    if (boxes.some((box) => (box[2] as number) < 0 || (box[3] as number) < 0))
      throw new ArgumentError(
        `forward: labels[${i}] has a box of negative size, expected [centre x, centre y, width, height]`,
      );
  }
  return targets;
}

/** Number of objects of all images, but at least 1: the divisor of losses. */
export function countOf(targets: readonly DetectionTarget[]): number {
  return Math.max(
    1,
    targets.reduce((total, { boxes }) => total + boxes.length, 0),
  );
}
