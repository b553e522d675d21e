// 1,797 handwritten digits of eight by eight pixels, as scikit-learn ships them: test/data/corpora/digits.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const DATA = '../../test/data/corpora/digits/digits.csv.gz';

/** Pixels of a side. */
export const SIDE = 8;

export interface Digit {
  /** Row by row, from 0 to 1. */
  readonly pixels: Float32Array;
  readonly label: number;
}

/** All digits; every fifth is for the test. */
export function readDigits(): { train: Digit[]; test: Digit[] } {
  const lines = gunzipSync(readFileSync(new URL(DATA, import.meta.url)))
    .toString()
    .trim()
    .split('\n');
  const digits = lines.map((line) => {
    const numbers = line.split(',').map(Number);
    const pixels = Float32Array.from(numbers.slice(0, SIDE * SIDE), (value) => value / 16);
    return { pixels, label: numbers[SIDE * SIDE] as number };
  });
  return { train: digits.filter((_, i) => i % 5 !== 0), test: digits.filter((_, i) => i % 5 === 0) };
}

/** Adds four copies of each digit, moved by a pixel to the left, right, up and down: its place does not matter. */
export function withShifts(digits: readonly Digit[]): Digit[] {
  const ways = [
    [0, 0],
    [-1, 0],
    [1, 0],
    [0, -1],
    [0, 1],
  ] as const;
  return ways.flatMap(([right, down]) => digits.map((digit) => shifted(digit, right, down)));
}

function shifted({ pixels, label }: Digit, right: number, down: number): Digit {
  const moved = Float32Array.from(pixels, (_, at) => {
    const [row, column] = [Math.floor(at / SIDE) - down, (at % SIDE) - right];
    const isInside = row >= 0 && row < SIDE && column >= 0 && column < SIDE;
    return isInside ? (pixels[row * SIDE + column] as number) : 0;
  });
  return { pixels: moved, label };
}
