// Losses of transducers: RNN-T (Graves 2012, arXiv 1211.3711) and TDT (Xu et al. 2023, arXiv 2304.06795).

import type { Tensor } from '../core/tensor.js';
import { add, mul, sub } from '../ops/binary.js';
import { gather, slice } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { logSoftmax } from '../ops/softmax.js';

export interface TransducerTargets {
  /** Labels of each item. */
  readonly labels: readonly (readonly number[])[];
  /** Number of frames of each item. */
  readonly frames: readonly number[];
  readonly blank: number;
}

/** A way to go on: `step` frames ahead. `part` is the index of its duration, or null if durations are not predicted. */
interface Arc {
  readonly step: number;
  readonly part: number | null;
}

/** Log-probabilities on the host, for one item. */
interface Lattice {
  readonly frames: number;
  readonly count: number;
  readonly blank: (frame: number, label: number, arc: Arc) => number;
  readonly label: (frame: number, label: number, arc: Arc) => number;
}

/** Called for each arc with the share of all paths that take it. */
type Visit = (isBlank: boolean, frame: number, label: number, arc: Arc, share: number) => void;

/**
 * The loss of RNN-T: -ln of the probability of all paths through frames and labels, divided by the number of labels of
 * all items. `logits`: float32 [B, T, U + 1, vocabulary].
 */
export function rnntLoss(logits: Tensor, targets: TransducerTargets): Tensor {
  const total = targets.labels.reduce((all, { length }) => all + length, 0);
  const arcs = { blanks: [{ step: 1, part: null }], labels: [{ step: 0, part: null }] };
  return pathLoss(logSoftmax(logits), null, targets, arcs, () => 1 / total);
}

/**
 * The loss of TDT: -ln of the probability of all paths, in which each token or blank takes a number of frames. It is
 * divided by the number of labels of each item, then averaged. `tokens`: float32 [B, T, U + 1, vocabulary].
 * `durations`: [B, T, U + 1, steps.length]. `steps`: frames of each duration.
 */
export function tdtLoss(
  tokens: Tensor,
  durations: Tensor,
  targets: TransducerTargets,
  steps: readonly number[],
): Tensor {
  const labels = steps.map((step, part) => ({ step, part }));
  const arcs = { blanks: labels.filter(({ step }) => step > 0), labels };
  const size = targets.labels.length;
  return pathLoss(logSoftmax(tokens), logSoftmax(durations), targets, arcs, (count) => 1 / (count * size));
}

function pathLoss(
  tokens: Tensor,
  durations: Tensor | null,
  { labels, frames, blank }: TransducerTargets,
  arcs: { readonly blanks: readonly Arc[]; readonly labels: readonly Arc[] },
  weightOf: (count: number) => number,
): Tensor {
  const { device } = tokens;
  const [size, time, targetLength, vocabulary] = tokens.shape as [number, number, number, number];
  const ids = Int32Array.from({ length: size * time * targetLength }, (_, index) => {
    const label = labels[Math.floor(index / (time * targetLength))]?.[index % targetLength] ?? blank;
    return index * vocabulary + label;
  });
  const parts = [
    slice(tokens, 3, blank, blank + 1),
    gather(tokens.reshape(-1, 1), device.tensor(ids, [size, time, targetLength])),
    ...(durations ? [durations] : []),
  ];
  const values = parts.map((part) => part.dataSync() as Float32Array);
  const shares = values.map(({ length }) => new Float32Array(length));
  const steps = durations?.shape[3] ?? 0;
  let loss = 0;
  labels.forEach((itemLabels, item) => {
    const weight = weightOf(itemLabels.length);
    const indexOf = (frame: number, label: number) => (item * time + frame) * targetLength + label;
    const score =
      (kind: 0 | 1) =>
      (frame: number, label: number, { part }: Arc) => {
        const index = indexOf(frame, label);
        return (values[kind]?.[index] as number) + (part === null ? 0 : (values[2]?.[index * steps + part] as number));
      };
    const lattice = { frames: frames[item] as number, count: itemLabels.length, blank: score(0), label: score(1) };
    const total = visitPaths(lattice, arcs.blanks, arcs.labels, (isBlank, frame, label, { part }, share) => {
      const index = indexOf(frame, label);
      const gradients = shares[isBlank ? 0 : 1] as Float32Array;
      gradients[index] = (gradients[index] as number) - weight * share;
      if (part !== null)
        (shares[2] as Float32Array)[index * steps + part] =
          (shares[2]?.[index * steps + part] as number) - weight * share;
    });
    loss -= weight * total;
  });
  // Derivatives are known, so the loss is a linear function that has them, and the right value.
  const linear = parts
    .map((part, i) => sum(mul(part, device.tensor(shares[i] as Float32Array, part.shape))))
    .reduce((a, b) => add(a, b));
  return add(sub(linear, linear.detach()), loss);
}

/**
 * Returns ln of the probability of all paths from the first frame without labels to the end of the last frame with all
 * labels. The last arc is a blank's.
 */
function visitPaths(lattice: Lattice, blanks: readonly Arc[], labels: readonly Arc[], visit: Visit): number {
  const { frames, count } = lattice;
  const width = count + 1;
  const empty = () => new Float64Array((frames + 1) * width).fill(Number.NEGATIVE_INFINITY);
  const [before, after] = [empty(), empty()];
  before[0] = 0;
  after[frames * width + count] = 0;
  /** Calls `fn` for each arc from a node: its probability, and the node that it leads to. */
  const eachArc = (
    frame: number,
    label: number,
    fn: (isBlank: boolean, arc: Arc, score: number, to: number) => void,
  ): void => {
    for (const arc of blanks) {
      const next = frame + arc.step;
      if (next < frames || (next === frames && label === count))
        fn(true, arc, lattice.blank(frame, label, arc), next * width + label);
    }
    if (label === count) return;
    for (const arc of labels) {
      const next = frame + arc.step;
      if (next < frames) fn(false, arc, lattice.label(frame, label, arc), next * width + label + 1);
    }
  };
  for (let node = 0; node < frames * width; node++) {
    eachArc(Math.floor(node / width), node % width, (_isBlank, _arc, score, to) => {
      before[to] = addLogs(before[to] as number, (before[node] as number) + score);
    });
  }
  for (let node = frames * width - 1; node >= 0; node--) {
    eachArc(Math.floor(node / width), node % width, (_isBlank, _arc, score, to) => {
      after[node] = addLogs(after[node] as number, (after[to] as number) + score);
    });
  }
  const total = after[0] as number;
  if (total === Number.NEGATIVE_INFINITY) return total; // no path: too few frames
  for (let node = 0; node < frames * width; node++) {
    const [frame, label] = [Math.floor(node / width), node % width];
    eachArc(frame, label, (isBlank, arc, score, to) => {
      const share = Math.exp((before[node] as number) + score + (after[to] as number) - total);
      visit(isBlank, frame, label, arc, share);
    });
  }
  return total;
}

/** ln(eᵃ + eᵇ). */
function addLogs(a: number, b: number): number {
  const max = Math.max(a, b);
  return max === Number.NEGATIVE_INFINITY ? max : max + Math.log1p(Math.exp(Math.min(a, b) - max));
}
