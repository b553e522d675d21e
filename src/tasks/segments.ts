// Segments of images, from the classes and masks of queries (Carion et al. 2020, arXiv 2005.12872, section 4.4).

import { argmax } from '../core/argmax.js';
import type { Tensor } from '../core/tensor.js';
import type { ModelOutput } from '../models/inputs.js';
import { inference } from '../nn/module.js';
import { sigmoid } from '../ops/activation.js';
import { matmul } from '../ops/matmul.js';
import { permute, slice } from '../ops/move.js';
import { softmax as softmaxOf } from '../ops/softmax.js';
import { classMap, type MapSize, resizedMap } from './image-maps.js';
import { softmax } from './scores.js';

/** Thresholds of segments, by the names of transformers.js. */
export interface SegmentLimits {
  /** Queries with a greater score are segments. */
  readonly threshold: number;
  /** A pixel belongs to the whole mask of a segment if its probability, times the score, is at least this. */
  readonly mask_threshold: number;
  /** A segment is kept if it shows more than this share of its whole mask. */
  readonly overlap_mask_area_threshold: number;
  /** Classes whose segments become one. */
  readonly label_ids_to_fuse: ReadonlySet<number>;
}

/** A segment. Its pixels are those of `map` with the value `id`. */
export interface FoundSegment {
  readonly id: number;
  readonly labelId: number;
  /** Probability of the class, rounded to six digits, as in transformers. */
  readonly score: number;
}

/** Segments of an image. `map` has an id for each pixel, 0 for none. */
export interface Segmentation {
  readonly map: Int32Array;
  readonly segments: readonly FoundSegment[];
}

/**
 * Returns the segments of an image. Each pixel belongs to the query with the greatest probability times score. As in
 * transformers, queries that are joined remain segments with scores of their own, and share their pixels. There, a new
 * segment after joined ones may get the id of another one; here, each has its own.
 */
export async function segmentsOf(
  { logits, predMasks }: ModelOutput,
  size: MapSize,
  { threshold, mask_threshold, overlap_mask_area_threshold, label_ids_to_fuse }: SegmentLimits,
): Promise<Segmentation> {
  const masks = predMasks as Tensor;
  const [, queries, classes] = (logits as Tensor).shape as [number, number, number];
  const values = (await (logits as Tensor).data()) as Float32Array;
  const kept = Array.from({ length: queries }, (_, query) => {
    const shares = softmax(values.subarray(query * classes, (query + 1) * classes));
    const labelId = argmax(shares);
    return { query, labelId, score: Math.fround(shares[labelId] as number) };
  }).filter(({ labelId, score }) => labelId < classes - 1 && score > threshold);

  const pixels = size[0] * size[1];
  const best = new Float32Array(pixels).fill(Number.NEGATIVE_INFINITY);
  const owner = new Int32Array(pixels);
  const whole: number[] = [];
  for (const [k, { query, score }] of kept.entries()) {
    const map = inference(masks, () => sigmoid(slice(masks, 1, query, query + 1)));
    const shares = await resizedMap(map, size).finally(() => map.dispose());
    let area = 0;
    for (let i = 0; i < pixels; i++) {
      const share = Math.fround((shares[i] as number) * score);
      if (share >= mask_threshold) area++;
      if (share <= (best[i] as number)) continue;
      best[i] = share;
      owner[i] = k;
    }
    whole.push(area);
  }

  const shown = new Array<number>(kept.length).fill(0);
  for (const k of owner) shown[k] = (shown[k] ?? 0) + 1;
  const joined = new Map<number, number>();
  const ids = new Int32Array(kept.length);
  const segments: FoundSegment[] = [];
  let last = 0;
  for (const [k, { labelId, score }] of kept.entries()) {
    const [area, all] = [shown[k] as number, whole[k] as number];
    if (area === 0 || all === 0 || area / all <= overlap_mask_area_threshold) continue;
    const id = joined.get(labelId) ?? ++last;
    if (label_ids_to_fuse.has(labelId)) joined.set(labelId, id);
    ids[k] = id;
    segments.push({ id, labelId, score: Math.round(score * 1e6) / 1e6 });
  }
  return { map: owner.map((k) => ids[k] ?? 0), segments };
}

/**
 * Returns the best class of each pixel: the one with the greatest sum of its probabilities times those of the masks.
 */
export async function classesOf({ logits, predMasks }: ModelOutput, size: MapSize): Promise<Int32Array> {
  const [scores, masks] = [logits, predMasks] as [Tensor, Tensor];
  const [, queries, height, width] = masks.shape as [number, number, number, number];
  const sums = inference(masks, () => {
    const shares = softmaxOf(scores);
    const classes = slice(shares, 2, 0, (shares.shape[2] as number) - 1);
    const map = sigmoid(masks).reshape(1, queries, height * width);
    return matmul(permute(classes, [0, 2, 1]), map).reshape(1, -1, height, width);
  });
  return classMap(sums, size).finally(() => sums.dispose());
}
