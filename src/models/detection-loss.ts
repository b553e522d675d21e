// The loss of detectors: each target is matched with one prediction (Carion et al. 2020, arXiv 2005.12872).

import { isObject } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { add, div, maximum, minimum, mul, scale, sub } from '../ops/binary.js';
import { crossEntropy } from '../ops/cross-entropy.js';
import { gather } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { abs, clamp } from '../ops/unary.js';
import type { DetectionTarget, ModelInputs } from './inputs.js';
import type { ModelConfig } from './model-config.js';

/** Predictions of a detector: `logits` [B, queries, classes] and `predBoxes` [B, queries, 4] like those of targets. */
export interface Found {
  readonly logits: Tensor;
  readonly predBoxes: Tensor;
}

/**
 * The rows' columns of least total cost, by the Hungarian method (Kuhn 1955) with shortest augmenting paths. `costs`
 * has `rows` rows of `columns` numbers, and no more rows than columns.
 */
export function leastCost(costs: Float64Array, rows: number, columns: number): Int32Array {
  const [byRow, byColumn] = [new Float64Array(rows + 1), new Float64Array(columns + 1)]; // potentials
  const rowOf = new Int32Array(columns + 1); // 0: no row
  const before = new Int32Array(columns + 1);
  for (let row = 1; row <= rows; row++) {
    rowOf[0] = row;
    let column = 0;
    const least = new Float64Array(columns + 1).fill(Number.POSITIVE_INFINITY);
    const used = new Uint8Array(columns + 1);
    do {
      used[column] = 1;
      const current = rowOf[column] as number;
      let [step, next] = [Number.POSITIVE_INFINITY, 0];
      for (let j = 1; j <= columns; j++) {
        if (used[j]) continue;
        const cost = costs[(current - 1) * columns + j - 1] as number;
        const reduced = cost - (byRow[current] as number) - (byColumn[j] as number);
        if (reduced < (least[j] as number)) {
          least[j] = reduced;
          before[j] = column;
        }
        if ((least[j] as number) < step) {
          step = least[j] as number;
          next = j;
        }
      }
      for (let j = 0; j <= columns; j++) {
        if (used[j]) {
          byRow[rowOf[j] as number] = (byRow[rowOf[j] as number] as number) + step;
          byColumn[j] = (byColumn[j] as number) - step;
        } else least[j] = (least[j] as number) - step;
      }
      column = next;
    } while (rowOf[column] !== 0);
    while (column !== 0) {
      const previous = before[column] as number;
      rowOf[column] = rowOf[previous] as number;
      column = previous;
    }
  }
  const found = new Int32Array(rows);
  for (let j = 1; j <= columns; j++) if (rowOf[j]) found[(rowOf[j] as number) - 1] = j - 1;
  return found;
}

type Box = readonly [number, number, number, number];

const cornersOf = ([x, y, width, height]: Box): Box => [x - width / 2, y - height / 2, x + width / 2, y + height / 2];

/** Generalized intersection over union of two boxes by their corners (Rezatofighi et al. 2019, arXiv 1902.09630). */
function generalizedOverlap(a: Box, b: Box): number {
  const area = ([left, top, right, bottom]: Box) => (right - left) * (bottom - top);
  const within = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const shared = within * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const union = area(a) + area(b) - shared;
  const hull = (Math.max(a[2], b[2]) - Math.min(a[0], b[0])) * (Math.max(a[3], b[3]) - Math.min(a[1], b[1]));
  return shared / union - (hull - union) / hull;
}

/** A prediction and the target that it is matched with. */
interface Match {
  readonly image: number;
  readonly query: number;
  readonly target: number;
}

/** Matches each target with a prediction. NaN costs count as the largest. */
function match({ logits, predBoxes }: Found, targets: readonly DetectionTarget[], config: ModelConfig): Match[] {
  const [, queries, classes] = logits.shape as [number, number, number];
  const [scores, boxes] = [logits, predBoxes].map((values) => values.dataSync() as Float32Array) as [
    Float32Array,
    Float32Array,
  ];
  const [ofClass, ofBox, ofOverlap] = ['class_cost', 'bbox_cost', 'giou_cost'].map((name) => config.number(name));
  return targets.flatMap(({ classLabels, boxes: wanted }, image) => {
    const count = classLabels.length;
    const costs = new Float64Array(count * queries);
    for (let query = 0; query < queries; query++) {
      const row = scores.subarray((image * queries + query) * classes, (image * queries + query + 1) * classes);
      const most = row.reduce((max, score) => Math.max(max, score), Number.NEGATIVE_INFINITY);
      const total = row.reduce((all, score) => all + Math.exp(score - most), 0);
      const at = (image * queries + query) * 4;
      const box = Array.from(boxes.subarray(at, at + 4)) as unknown as Box;
      classLabels.forEach((label, target) => {
        const other = wanted[target] as unknown as Box;
        const share = Math.exp((row[label] as number) - most) / total;
        const apart = box.reduce((all, value, i) => all + Math.abs(value - (other[i] as number)), 0);
        const overlap = generalizedOverlap(cornersOf(box), cornersOf(other));
        const cost = (ofBox as number) * apart - (ofClass as number) * share - (ofOverlap as number) * overlap;
        costs[target * queries + query] = Number.isFinite(cost) ? cost : 3e38;
      });
    }
    const taken = leastCost(costs, count, queries);
    return Array.from(taken, (query, target) => ({ image, query, target }));
  });
}

/** Throws ArgumentError or ShapeError unless the targets fit the predictions. */
function checkTargets(labels: ModelInputs['labels'], { logits }: Found, classes: number): readonly DetectionTarget[] {
  const [batch, queries] = logits.shape as [number, number];
  const isTarget = (each: unknown) => isObject(each) && Array.isArray(each.classLabels) && Array.isArray(each.boxes);
  if (!Array.isArray(labels) || !(labels as unknown[]).every(isTarget))
    throw new ArgumentError('forward: labels are no targets, expected { classLabels, boxes } for each image');
  const targets = labels as unknown as readonly DetectionTarget[];
  if (targets.length !== batch)
    throw new ShapeError(`forward: labels have ${targets.length} targets, expected one for each of ${batch} images`);
  for (const [i, { classLabels, boxes }] of targets.entries()) {
    const isLabel = (label: number) => Number.isInteger(label) && label >= 0 && label < classes;
    if (!classLabels.every(isLabel))
      throw new ArgumentError(`forward: labels[${i}] has other classes, expected integers from 0 to ${classes - 1}`);
    const isBox = (box: readonly number[]) => box.length === 4 && box.every(Number.isFinite);
    if (boxes.length !== classLabels.length || !boxes.every(isBox))
      throw new ShapeError(`forward: labels[${i}] has no box of four numbers for each of its classes`);
    if (boxes.length > queries)
      throw new ShapeError(`forward: labels[${i}] has ${boxes.length} objects, expected at most ${queries}`);
  }
  return targets;
}

/**
 * The loss of DETR: cross entropy of the classes, in which predictions without a target count `eos_coefficient`, and
 * differences and overlaps of the boxes. `found` are the predictions, then those of earlier layers. Throws
 * ArgumentError, ShapeError.
 */
export function detectionLoss(
  found: readonly [Found, ...Found[]],
  labels: ModelInputs['labels'],
  config: ModelConfig,
): Tensor {
  const classes = (found[0].logits.shape[2] as number) - 1;
  const targets = checkTargets(labels, found[0], classes);
  const losses = found.map((each) => layerLoss(each, targets, config));
  return losses.reduce((total, loss) => add(total, loss));
}

function layerLoss(found: Found, targets: readonly DetectionTarget[], config: ModelConfig): Tensor {
  const { logits, predBoxes } = found;
  const { device } = logits;
  const [batch, queries, classes] = logits.shape as [number, number, number];
  const matches = match(found, targets, config);
  const wanted = new Int32Array(batch * queries).fill(classes - 1);
  for (const { image, query, target } of matches)
    wanted[image * queries + query] = targets[image]?.classLabels[target] as number;
  const weight = device.tensor(
    Float32Array.from({ length: classes }, (_, i) => (i === classes - 1 ? config.number('eos_coefficient') : 1)),
  );
  const ofClasses = crossEntropy(logits.reshape(batch * queries, classes), device.tensor(wanted), { weight });
  if (matches.length === 0) return ofClasses;
  const rows = Int32Array.from(matches, ({ image, query }) => image * queries + query);
  const boxes = gather(predBoxes.reshape(batch * queries, 4), device.tensor(rows)); // [objects, 4]
  const given = matches.flatMap(({ image, target }) => targets[image]?.boxes[target] ?? []);
  const others = device.tensor(Float32Array.from(given), [matches.length, 4]);
  const apart = sum(abs(sub(boxes, others)));
  const [ofBox, ofOverlap] = [config.number('bbox_loss_coefficient'), config.number('giou_loss_coefficient')];
  const ofBoxes = add(scale(apart, ofBox), scale(overlapLoss(boxes, others), ofOverlap));
  return add(ofClasses, scale(ofBoxes, 1 / matches.length));
}

/** Σ 1 - generalized overlap of boxes [objects, 4]. */
function overlapLoss(a: Tensor, b: Tensor): Tensor {
  const sides = (boxes: Tensor) => {
    const [centre, half] = [boxes.columns(0, 2), scale(boxes.columns(2, 4), 0.5)];
    return { low: sub(centre, half), high: add(centre, half) };
  };
  const area = (extent: Tensor) => mul(extent.columns(0, 1), extent.columns(1, 2)); // [objects, 1]
  const [one, two] = [sides(a), sides(b)];
  const shared = area(clamp(sub(minimum(one.high, two.high), maximum(one.low, two.low)), { min: 0 }));
  const union = sub(add(area(a.columns(2, 4)), area(b.columns(2, 4))), shared);
  const hull = area(sub(maximum(one.high, two.high), minimum(one.low, two.low)));
  const overlap = sub(div(shared, union), div(sub(hull, union), hull));
  return sum(sub(add(scale(overlap, 0), 1), overlap));
}
