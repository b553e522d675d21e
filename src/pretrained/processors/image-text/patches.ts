// Sizes, crops and orders of patches that several processors share.

import { blockPositions } from '../../../models/block-positions.js';
import type { Pixels } from '../resize.js';

/** Rounds sides to multiples of `factor`, with `min` to `max` pixels in all. `minSide`: minimum of a side. */
export function smartSize(
  { width, height }: Pixels,
  factor: number,
  min: number,
  max: number,
  minSide: number,
): [number, number] {
  const rounded = (side: number) => Math.max(minSide, roundEven(side / factor) * factor);
  const [wide, high] = [rounded(width), rounded(height)];
  if (wide * high > max) {
    const shrink = Math.sqrt((height * width) / max);
    const down = (side: number) => Math.max(factor, Math.floor(side / shrink / factor) * factor);
    return [down(width), down(height)];
  }
  if (wide * high >= min) return [wide, high];
  const growth = Math.sqrt(min / (height * width));
  const up = (side: number) => Math.ceil((side * growth) / factor) * factor;
  return [up(width), up(height)];
}

/** Python's `round`: halves become even. */
export function roundEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor + (floor % 2);
}

/**
 * Writes the pixels of all patches to the start of `to`, patch by patch in row-major order: [patches, patch, patch, 3].
 * `values`: the normalized value of each byte, by channel. Pixels beyond the last whole patch are left out.
 */
export function writePatches(
  to: Float32Array,
  { width, data }: Pixels,
  values: readonly Float32Array[],
  [rows, columns]: readonly [number, number],
  patch: number,
): void {
  let index = 0;
  for (const [row, column] of blockPositions([rows, columns], 1))
    for (let y = row * patch; y < (row + 1) * patch; y++)
      for (let x = column * patch; x < (column + 1) * patch; x++)
        for (let channel = 0; channel < 3; channel++)
          to[index++] = values[channel]?.[data[(y * width + x) * 3 + channel] as number] as number;
}

/** Crops an image. Parts beyond its edges are left out. */
export function crop(image: Pixels, left: number, top: number, width: number, height: number): Pixels {
  const [wide, high] = [Math.min(width, image.width - left), Math.min(height, image.height - top)];
  const data = new Uint8ClampedArray(wide * high * 3);
  for (let y = 0; y < high; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + wide * 3), y * wide * 3);
  }
  return { width: wide, height: high, channels: 3, data };
}
