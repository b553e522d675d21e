import type { Ranges } from './expression.js';

/** Ranges of bytes that follow each other: UTF-8 of a range of characters. */
export type ByteRanges = readonly (readonly [first: number, last: number])[];

/** The greatest code points that take one to four bytes. */
const ENDS = [0x7f, 0x7ff, 0xffff, 0x10ffff];

/** The byte sequences of a set of characters without surrogates, as few as possible. */
export function utf8Ranges(ranges: Ranges): ByteRanges[] {
  const valid = ranges.flatMap(([first, last]): [number, number][] => [
    [first, Math.min(last, 0xd7ff)],
    [Math.max(first, 0xe000), last],
  ]);
  return valid.flatMap(([first, last]) => {
    return ENDS.flatMap((end, i) => {
      const begin = i === 0 ? 0 : (ENDS[i - 1] as number) + 1;
      return split(Math.max(first, begin), Math.min(last, end), i + 1);
    });
  });
}

/** Splits a range of characters of `length` bytes wherever a continuation byte does not take all of its values. */
function split(first: number, last: number, length: number): ByteRanges[] {
  if (first > last) return [];
  for (let tail = 1; tail < length; tail++) {
    const mask = (1 << (6 * tail)) - 1; // the bits of the last `tail` bytes
    if ((first & ~mask) === (last & ~mask)) continue;
    if ((first & mask) !== 0)
      return [...split(first, first | mask, length), ...split((first | mask) + 1, last, length)];
    if ((last & mask) !== mask)
      return [...split(first, (last & ~mask) - 1, length), ...split(last & ~mask, last, length)];
  }
  const [low, high] = [encode(first, length), encode(last, length)];
  return [low.map((byte, i) => [byte, high[i] as number] as const)];
}

const LEADS = [0, 0xc0, 0xe0, 0xf0];

function encode(point: number, length: number): number[] {
  if (length === 1) return [point];
  const bytes = [(LEADS[length - 1] as number) | (point >> (6 * (length - 1)))];
  for (let i = length - 2; i >= 0; i--) bytes.push(0x80 | ((point >> (6 * i)) & 0x3f));
  return bytes;
}
