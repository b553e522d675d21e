// Work in slices: a generator that yields where the event loop may run, and returns the result.

import { yieldToEventLoop } from './yield-to-event-loop.js';

/** Runs `work` to its end without a pause. */
export function atOnce<Result>(work: Iterator<unknown, Result>): Result {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Runs `work` to its end. At each pause, the event loop may run. */
export async function inSlices<Result>(work: Iterator<unknown, Result>): Promise<Result> {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    await yieldToEventLoop();
  }
}

/** Number of values that are sorted before a pause. */
const SORTED_A_SLICE = 1 << 12;

/** Returns the values in ascending order. The sort is stable. Pauses after each slice. */
export function* sortedByParts<T>(
  values: readonly T[],
  isBefore: (a: T, b: T) => boolean,
): Generator<undefined, readonly T[]> {
  const parts: (readonly T[])[] = [];
  for (let at = 0; at < values.length; at += SORTED_A_SLICE) {
    const part = values.slice(at, at + SORTED_A_SLICE);
    parts.push(part.sort((a, b) => (isBefore(a, b) ? -1 : isBefore(b, a) ? 1 : 0)));
    yield;
  }
  while (parts.length > 1)
    for (let i = 0; i + 1 < parts.length; i++)
      parts.splice(i, 2, yield* merged(parts[i] as readonly T[], parts[i + 1] as readonly T[], isBefore));
  return parts[0] ?? [];
}

function* merged<T>(
  first: readonly T[],
  second: readonly T[],
  isBefore: (a: T, b: T) => boolean,
): Generator<undefined, readonly T[]> {
  const all: T[] = [];
  for (let a = 0, b = 0; all.length < first.length + second.length; ) {
    const takesSecond = a === first.length || (b < second.length && isBefore(second[b] as T, first[a] as T));
    all.push((takesSecond ? second[b++] : first[a++]) as T);
    if (all.length % (4 * SORTED_A_SLICE) === 0) yield;
  }
  return all;
}
