// Joins the transcripts of overlapping windows, so that text in the overlap occurs once.

/** A token with its time, if that is known. */
export interface TimedToken {
  readonly token: number;
  /** Start in seconds. */
  readonly start: number;
  readonly end: number;
}

/**
 * Joins sequences that overlap, each with the one before. The overlap is chosen where most tokens are equal. Its first
 * half comes from the left sequence, its second from the right one, because windows are most accurate in their middle.
 * With `timed`, tokens match only if they go forward in time. An overlap has at least two tokens.
 */
export function merged(sequences: readonly (readonly TimedToken[])[], timed: boolean): TimedToken[] {
  const [first = [], ...others] = sequences;
  const done: TimedToken[] = [];
  let left = first;
  for (const right of others) {
    const { end, start } = bestCut(left, right, timed);
    done.push(...left.slice(0, end));
    left = right.slice(start);
  }
  return [...done, ...left];
}

/** End of the left sequence and start of the right one. */
function bestCut(left: readonly TimedToken[], right: readonly TimedToken[], timed: boolean) {
  let maxShare = 0;
  let best = { end: left.length, start: 0 };
  for (let shift = 1; shift < left.length + right.length; shift++) {
    const from = Math.max(0, left.length - shift);
    const to = Math.min(left.length, left.length + right.length - shift);
    const start = Math.max(0, shift - left.length);
    let matches = 0;
    for (let i = 0; i < to - from; i++) {
      const [a, b] = [left[from + i] as TimedToken, right[start + i] as TimedToken];
      if (a.token === b.token && (!timed || isBefore(a, b))) matches++;
    }
    const share = matches / shift + shift / 10000; // prefers the longer overlap among equal fractions
    if (matches < 2 || share <= maxShare) continue;
    maxShare = share;
    best = { end: Math.floor((from + to) / 2), start: Math.floor((2 * start + to - from) / 2) };
  }
  return best;
}

/** Compares by start, then by end. */
function isBefore(a: TimedToken, b: TimedToken): boolean {
  return a.start < b.start || (a.start === b.start && a.end <= b.end);
}
