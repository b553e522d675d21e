// Work in parts: a generator that yields where the event loop may run, and returns the result. A slice is as many parts
// as run between two turns of the event loop.

import { isTurnDue, turnOfEventLoop } from './yield-to-event-loop.js';

/** Work in parts whose result is a `T`. */
export type Parts<T> = Generator<undefined, T, void>;

/** Returns a function that runs the work without a pause, with the work itself as `inParts`. */
export function withParts<Args extends readonly unknown[]>(
  inParts: (...args: Args) => Generator<undefined, void>,
): ((...args: Args) => void) & { readonly inParts: (...args: Args) => Generator<undefined, void> } {
  return Object.assign((...args: Args) => atOnce(inParts(...args)), { inParts });
}

/** Runs `work` to its end without a pause. */
export function atOnce<Result>(work: Iterator<unknown, Result>): Result {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Settings of `inSlices`. */
export interface SliceOptions {
  /** The time at which the first slice began. Default: the latest turn of the event loop. */
  readonly start?: number | undefined;
  /** Called before each turn of the event loop. No other code runs between it and the part before. */
  readonly onPause?: (() => void) | undefined;
}

/** Runs `work` to its end. The event loop runs after each slice. */
export async function inSlices<Result>(
  work: Iterator<unknown, Result>,
  { start, onPause }: SliceOptions = {},
): Promise<Result> {
  try {
    for (let since = start; ; since = undefined) {
      const { done, value } = slice(work, since);
      if (done) return value;
      onPause?.();
      await turnOfEventLoop();
    }
  } finally {
    work.return?.(undefined as Result); // ends its scopes if `onPause` has failed
  }
}

/** Runs a slice that began at `start`, at least one part. Returns what the last part gave. */
export function slice<Yielded, Result>(
  work: Iterator<Yielded, Result>,
  start?: number,
): IteratorResult<Yielded, Result> {
  for (;;) {
    const step = work.next();
    if (step.done || isTurnDue(start)) return step;
  }
}

/** Runs `work` with each part inside a call of `around`, for a state that must not last during pauses. */
export function* eachWithin<Yielded, Result>(
  around: <T>(part: () => T) => T,
  work: Iterator<Yielded, Result>,
): Generator<Yielded, Result> {
  try {
    for (;;) {
      const { done, value } = around(() => work.next());
      if (done) return value;
      yield value;
    }
  } finally {
    work.return?.(undefined as Result);
  }
}

/** A result, or work in parts that returns it. */
export type MaybeInParts<Result> = Result | Generator<unknown, Result>;

/** Work that begins with a call of `begin`. The work may return its result at once. */
export function* begun<Result>(begin: () => MaybeInParts<Result>): Generator<unknown, Result> {
  const work = begin();
  return isGenerator(work) ? yield* work : work;
}

const isGenerator = <Result>(work: MaybeInParts<Result>): work is Generator<unknown, Result> =>
  typeof (work as Partial<Generator> | null | undefined)?.next === 'function';

/** Number of values that are sorted before a pause. */
const SORTED_A_SLICE = 1 << 8;

/** Returns the values in ascending order. The sort is stable. Pauses after each slice. */
export function* sortedInParts<T>(
  values: readonly T[],
  isBefore: (a: T, b: T) => boolean,
): Generator<undefined, readonly T[]> {
  const parts: (readonly T[])[] = [];
  for (let start = 0; start < values.length; start += SORTED_A_SLICE) {
    const part = values.slice(start, start + SORTED_A_SLICE);
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
    if (all.length % (16 * SORTED_A_SLICE) === 0) yield;
  }
  yield; // many short lists take long, too
  return all;
}
