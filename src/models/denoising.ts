// Denoising queries (Li et al. 2022, arXiv 2203.01305): in training, a detector's decoder also restores noisy targets.

import { Scalar } from '../core/operand.js';
import { Random } from '../core/random.js';
import type { Tensor } from '../core/tensor.js';
import { Dropout, type Randomness } from '../nn/dropout.js';
import type { Initializer } from '../nn/init.js';
import { concat, gather } from '../ops/move.js';
import type { Match } from './detection-matching.js';
import type { DetectionTarget } from './inputs.js';

/** Noise of denoising queries. */
export interface Noise {
  /** Number of queries that are wanted for an image. */
  readonly queries: number;
  /** Twice the share of labels that change. */
  readonly labels: number;
  /** The largest change of an edge of a good query, in halves of the box's size. */
  readonly boxes: number;
}

/** Queries that are noisy copies of targets. D: their number for each image. */
export interface NoisyTargets {
  readonly count: number;
  readonly groups: number;
  /** Shape [B · D]: classes. The number of classes stands for padding. */
  readonly labels: Int32Array;
  /** Shape [B · D · 4]: logits of boxes. */
  readonly boxes: Float32Array;
  /** The target of each query that must restore one. All others must predict nothing. */
  readonly matches: readonly Match[];
}

/**
 * Makes groups of noisy copies of the targets. A group has a good copy of each target, whose box is close to it, and a
 * bad one. Random numbers are drawn in transformers' order. Returns null if there are no targets.
 */
export function noisyTargets(
  targets: readonly DetectionTarget[],
  classes: number,
  noise: Noise,
  random: Pick<Random, 'uniform' | 'below'>,
): NoisyTargets | null {
  const max = targets.reduce((longest, { boxes }) => Math.max(longest, boxes.length), 0);
  if (max === 0) return null;
  const groups = Math.max(1, Math.floor(noise.queries / max));
  const count = 2 * max * groups;
  const total = targets.length * count;
  const labels = new Int32Array(total).fill(classes);
  const boxes = new Float32Array(total * 4);
  const isBad = (query: number) => query % (2 * max) >= max;
  const matches: Match[] = [];
  targets.forEach((target, image) => {
    for (let query = 0; query < count; query++) {
      const object = query % max;
      if (object >= target.boxes.length) continue;
      labels[image * count + query] = target.classLabels[object] as number;
      boxes.set(target.boxes[object] as readonly number[], (image * count + query) * 4);
      if (!isBad(query)) matches.push({ image, query, target: object });
    }
  });
  if (noise.labels > 0) {
    const changes = Array.from({ length: total }, () => random.uniform() < noise.labels * 0.5);
    changes.forEach((isChanged, i) => {
      const label = random.below(classes);
      if (isChanged && labels[i] !== classes) labels[i] = label;
    });
  }
  if (noise.boxes > 0) moveEdges(boxes, (box) => isBad(box % count), noise.boxes, random);
  return { count, groups, labels, boxes, matches };
}

/** Moves the edges of boxes at random, and replaces the boxes by their logits. */
function moveEdges(
  boxes: Float32Array,
  isBad: (box: number) => boolean,
  noise: number,
  random: Pick<Random, 'uniform' | 'below'>,
): void {
  const signs = Array.from(boxes, () => random.below(2) * 2 - 1);
  const parts = Array.from(boxes, (_, i) => (signs[i] as number) * (random.uniform() + (isBad(i >> 2) ? 1 : 0)));
  for (let offset = 0; offset < boxes.length; offset += 4) {
    for (const axis of [0, 1]) {
      const [centre, size] = [boxes[offset + axis], boxes[offset + axis + 2]] as [number, number];
      const edge = (side: 0 | 1) => {
        const moved = centre + size * (side - 0.5) + (parts[offset + axis + 2 * side] as number) * size * 0.5 * noise;
        return Math.min(1, Math.max(0, moved));
      };
      const [low, high] = [edge(0), edge(1)];
      boxes[offset + axis] = logit((low + high) / 2);
      boxes[offset + axis + 2] = logit(high - low);
    }
  }
}

function logit(share: number): number {
  const clamped = Math.min(1, Math.max(0, share));
  return Math.log(Math.max(clamped, 1e-5) / Math.max(1 - clamped, 1e-5));
}

/** Denoising queries as tensors. */
export interface Denoising extends Pick<NoisyTargets, 'count' | 'groups' | 'matches'> {
  /** float32 [B, D, dModel] */
  readonly features: Tensor;
  /** Logits of boxes, float32 [B, D, 4]. */
  readonly boxes: Tensor;
  /**
   * int32 [1, 1, D + queries, D + queries]: 0 where a query may not attend to another. Groups do not see each other,
   * and usual queries do not see them.
   */
  readonly mask: Tensor;
}

/** Embeds noisy targets. The noise follows from the seed of dropout. */
export class DenoisingQueries extends Dropout {
  /** float32 [classes + 1, dModel]. The last row is that of padding, and is not trained. */
  readonly weight: Tensor;

  constructor(
    init: Initializer,
    classes: number,
    dModel: number,
    private readonly noise: Noise,
    randomness: Randomness,
  ) {
    super(1, randomness);
    this.weight = init.normal([classes + 1, dModel], 1);
  }

  /** Returns the queries in training, else null. `queries`: number of usual queries. */
  of(targets: readonly DetectionTarget[], queries: number): Denoising | null {
    const { options, weight } = this;
    if (options === null) return null;
    const { seed, stream = 0 } = options;
    const [classes, { device }] = [(weight.shape[0] as number) - 1, weight];
    const random = new Random(seed instanceof Scalar ? seed.value : seed, stream);
    const made = noisyTargets(targets, classes, this.noise, random);
    if (made === null) return null;
    const { count, groups, labels, matches } = made;
    const table = concat([weight.rows(0, classes), weight.rows(classes, classes + 1).detach()]);
    const batch = targets.length;
    const groupOf = (query: number) => (query < count ? Math.floor((query * groups) / count) : groups);
    const total = count + queries;
    const mask = Int32Array.from({ length: total * total }, (_, i) => {
      const [query, key] = [groupOf(Math.floor(i / total)), groupOf(i % total)];
      return query === key || (query < groups && key === groups) ? 1 : 0;
    });
    return {
      count,
      groups,
      matches,
      features: gather(table, device.tensor(labels, [batch, count])),
      boxes: device.tensor(made.boxes, [batch, count, 4]),
      mask: device.tensor(mask, [1, 1, total, total]),
    };
  }
}
