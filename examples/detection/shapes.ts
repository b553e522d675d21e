// Random drawings of circles, squares and triangles.

import { Random } from '../../src/core/random.js';

/** Pixels of a side. */
export const SIDE = 64;

export const KINDS = ['circle', 'square', 'triangle'] as const;

export interface Shape {
  /** Index in `KINDS`. */
  readonly kind: number;
  /** [centre x, centre y, width, height], as shares of the image. */
  readonly box: readonly [number, number, number, number];
}

export interface Drawing {
  /** [3, SIDE, SIDE], from 0 to 1. */
  readonly pixels: Float32Array;
  readonly shapes: readonly Shape[];
}

/** Draws one to three shapes of random places, sizes and colours, which do not overlap, on noise. */
export function drawing(random: Random): Drawing {
  const ground = Array.from({ length: 3 }, () => 0.3 * random.uniform());
  const pixels = Float32Array.from(
    { length: 3 * SIDE * SIDE },
    (_, i) => (ground[Math.floor(i / (SIDE * SIDE))] as number) + 0.1 * random.uniform(),
  );
  const shapes: Shape[] = [];
  const count = 1 + random.below(3);
  for (let attempt = 0; attempt < 20 && shapes.length < count; attempt++) {
    const size = 14 + random.below(15);
    const [left, top] = [random.below(SIDE - size + 1), random.below(SIDE - size + 1)];
    const box = [(left + size / 2) / SIDE, (top + size / 2) / SIDE, size / SIDE, size / SIDE] as const;
    const isApart = ({ box: [x, y, width] }: Shape) =>
      Math.max(Math.abs(x - box[0]), Math.abs(y - box[1])) > (width + box[2]) / 2;
    if (!shapes.every(isApart)) continue;
    const kind = random.below(KINDS.length);
    paint(
      pixels,
      kind,
      { left, top, size },
      Array.from({ length: 3 }, () => 0.5 + 0.5 * random.uniform()),
    );
    shapes.push({ kind, box });
  }
  return { pixels, shapes };
}

interface Square {
  readonly left: number;
  readonly top: number;
  readonly size: number;
}

function paint(pixels: Float32Array, kind: number, { left, top, size }: Square, colour: readonly number[]): void {
  const middle = (size - 1) / 2;
  const isInside = (x: number, y: number) => {
    if (kind === 0) return (x - middle) ** 2 + (y - middle) ** 2 <= (size / 2) ** 2;
    return kind === 1 || Math.abs(x - middle) <= ((y + 1) / size) * (size / 2);
  };
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (!isInside(x, y)) continue;
      colour.forEach((value, channel) => {
        pixels[(channel * SIDE + top + y) * SIDE + left + x] = value;
      });
    }
  }
}

/** Drawings without end. */
export function* drawings(seed: number): Generator<Drawing> {
  const random = new Random(seed);
  for (;;) yield drawing(random);
}
