// Random drawings of shapes.

import { Random } from '../../src/core/random.js';

/** Pixels of a side. */
export const SIDE = 64;

/** True for the points of a shape. `x` and `y`: from the centre to the edges of its box, −1 to 1. */
type Inside = (x: number, y: number) => boolean;

const SHAPES = {
  circle: (x, y) => Math.hypot(x, y) <= 1,
  square: () => true,
  triangle: (x, y) => Math.abs(x) <= (y + 1) / 2,
  diamond: (x, y) => Math.abs(x) + Math.abs(y) <= 1,
  ring: (x, y) => Math.abs(Math.hypot(x, y) - 0.75) <= 0.25,
  cross: (x, y) => Math.min(Math.abs(x), Math.abs(y)) <= 0.3,
} satisfies Record<string, Inside>;

export type Kind = keyof typeof SHAPES;
export const KINDS: readonly Kind[] = ['circle', 'square', 'triangle'];
/** Kinds that a base learns, before an adapter learns the others. */
export const OTHER_KINDS: readonly Kind[] = ['diamond', 'ring', 'cross'];

export interface Shape {
  /** Index in the list of kinds. */
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
export function drawing(random: Random, kinds: readonly Kind[] = KINDS): Drawing {
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
    const kind = random.below(kinds.length);
    const colour = Array.from({ length: 3 }, () => 0.5 + 0.5 * random.uniform());
    paint(pixels, SHAPES[kinds[kind] as Kind], { left, top, size }, colour);
    shapes.push({ kind, box });
  }
  return { pixels, shapes };
}

interface Square {
  readonly left: number;
  readonly top: number;
  readonly size: number;
}

function paint(pixels: Float32Array, isInside: Inside, { left, top, size }: Square, colour: readonly number[]): void {
  const place = (pixel: number) => (2 * pixel + 1) / size - 1;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (!isInside(place(x), place(y))) continue;
      colour.forEach((value, channel) => {
        pixels[(channel * SIDE + top + y) * SIDE + left + x] = value;
      });
    }
  }
}

/** Drawings without end. */
export function* drawings(seed: number, kinds: readonly Kind[] = KINDS): Generator<Drawing> {
  const random = new Random(seed);
  for (;;) yield drawing(random, kinds);
}
