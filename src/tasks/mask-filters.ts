// Filters masks of SAM: only stable masks that are not cut by a crop are kept, and each object once. Constants are
// those of transformers.

import type { PixelSize } from '../pretrained/processors/image.js';
import { RawImage } from './transformers/raw-image.js';

/** Left, upper, right and lower edge, in pixels. */
export type Box = readonly [left: number, top: number, right: number, bottom: number];

export interface Mask {
  /** The pixels: 255 in the mask, 0 elsewhere. */
  readonly image: RawImage;
  readonly score: number;
  readonly box: Box;
}

/** A mask in COCO's run-length encoding: lengths of alternating runs of 0 and 1, column by column. */
export interface RunMask {
  readonly size: readonly [height: number, width: number];
  readonly counts: readonly number[];
}

/** A part of an image, and the points on each side of its grid. */
export interface Crop {
  readonly box: Box;
  readonly points: number;
}

/** Returns the whole image as a crop, and overlapping crops for each further layer. */
export function cropsOf(
  { width, height }: PixelSize,
  options: {
    readonly points_per_crop?: number | undefined;
    readonly crops_n_layers?: number | undefined;
    readonly crop_overlap_ratio?: number | undefined;
    readonly crop_n_points_downscale_factor?: number | undefined;
  },
): Crop[] {
  const { points_per_crop: points = 32, crops_n_layers: layers = 0, crop_overlap_ratio: ratio = 512 / 1500 } = options;
  const { crop_n_points_downscale_factor: divisor = 1 } = options;
  const crops: Crop[] = [{ box: [0, 0, width, height], points }];
  for (let layer = 1; layer <= layers; layer++) {
    const parts = 2 ** layer;
    const overlap = Math.trunc(ratio * Math.min(width, height) * (2 / parts));
    const sizeOf = (side: number) => Math.ceil((overlap * (parts - 1) + side) / parts);
    const [wide, high] = [sizeOf(width), sizeOf(height)];
    const cropPoints = Math.max(1, Math.trunc(points / divisor ** layer));
    for (let column = 0; column < parts; column++)
      for (let row = 0; row < parts; row++) {
        const [left, top] = [(wide - overlap) * column, (high - overlap) * row];
        crops.push({
          box: [left, top, Math.min(left + wide, width), Math.min(top + high, height)],
          points: cropPoints,
        });
      }
  }
  return crops;
}

/** Returns the centres of `side` × `side` squares, in fractions of width and height. */
export function gridOf(side: number): [x: number, y: number][] {
  const coordinate = (i: number) => Math.fround(side === 1 ? 0.5 : (i + 0.5) / side);
  return Array.from({ length: side * side }, (_, i) => [coordinate(i % side), coordinate(Math.floor(i / side))]);
}

/** Rows between two pauses. */
const ROWS = 64;

/**
 * Returns the mask for logits, [height · width], of a crop. The mask has the size of the whole image. Returns null if
 * the mask is not stable, or if the crop cuts it: it ends at an edge of the crop, inside the image. Pauses after every
 * few milliseconds.
 */
export function* maskOf(
  logits: Float32Array,
  [width, height]: readonly [width: number, height: number],
  { threshold, offset, stability }: { readonly threshold: number; readonly offset: number; readonly stability: number },
  crop: Box,
  whole: Box,
): Generator<undefined, Omit<Mask, 'score'> | null> {
  const measured = yield* measure(logits, [width, height], threshold, offset);
  if (stability > 0 && !(measured.stability > stability)) return null;
  const box = measured.box.map((side, i) => side + (crop[i % 2] as number)) as unknown as Box;
  if (isCut(box, crop, whole)) return null;
  const [across, down] = [whole[2], whole[3]];
  const data = new Uint8Array(across * down);
  for (let y = 0, i = 0; y < height; y++) {
    if (y % ROWS === 0) yield;
    for (let x = 0; x < width; x++, i++)
      if ((logits[i] as number) > threshold) data[(y + crop[1]) * across + x + crop[0]] = 255;
  }
  return { image: new RawImage(data, across, down, 1), box };
}

/**
 * Measures the mask of the values above `threshold`. Its box is within the crop. Its stability is the intersection over
 * union of the masks for a threshold that is higher, and lower, by `offset`.
 */
function* measure(
  logits: Float32Array,
  [width, height]: readonly [width: number, height: number],
  threshold: number,
  offset: number,
): Generator<undefined, { readonly box: Box; readonly stability: number }> {
  let [inner, outer] = [0, 0];
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0, i = 0; y < height; y++) {
    if (y % ROWS === 0) yield;
    for (let x = 0; x < width; x++, i++) {
      const value = logits[i] as number;
      if (value > threshold + offset) inner++;
      if (value > threshold - offset) outer++;
      if (!(value > threshold)) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
  }
  return { box: right < 0 ? [0, 0, 0, 0] : [left, top, right, bottom], stability: inner / outer };
}

/** Maximum distance in pixels of two edges that count as equal. */
const NEAR = 20;

function isCut(box: Box, crop: Box, whole: Box): boolean {
  const isNear = (a: number, b: number) => Math.abs(a - b) <= NEAR;
  return box.some((side, i) => isNear(side, crop[i] as number) && !isNear(side, whole[i] as number));
}

/**
 * Non-maximum suppression: returns masks, best first, whose boxes do not overlap that of a better mask by more than
 * `maxOverlap`.
 */
export function distinct(masks: readonly Mask[], maxOverlap: number): Mask[] {
  const order = [...masks.keys()].sort((a, b) => scoreAt(masks, b) - scoreAt(masks, a) || a - b);
  const kept: Mask[] = [];
  for (const i of order) {
    const mask = masks[i] as Mask;
    if (!kept.some((better) => overlap(better.box, mask.box) > maxOverlap)) kept.push(mask);
  }
  return kept;
}

const scoreAt = (masks: readonly Mask[], i: number) => (masks[i] as Mask).score;

/** Returns the intersection over union of two boxes. */
function overlap(a: Box, b: Box): number {
  const area = ([left, top, right, bottom]: Box) => (right - left) * (bottom - top);
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const both = Math.max(0, width) * Math.max(0, height);
  return both / (area(a) + area(b) - both);
}

/** Converts a mask to lengths of alternating runs of 0 and 1, column by column. */
export function runsOf({ width, height, data }: RawImage): RunMask {
  const counts: number[] = [];
  let [run, value] = [0, 0];
  for (let x = 0; x < width; x++)
    for (let y = 0; y < height; y++) {
      const bit = data[y * width + x] === 255 ? 1 : 0;
      if (bit !== value) {
        counts.push(run);
        [run, value] = [0, bit];
      }
      run++;
    }
  counts.push(run);
  return { size: [height, width], counts };
}
