// Prefix beam search for CTC (Hannun et al. 2014, arXiv 1408.2873). It finds the most likely sequence of tokens, summed
// over all of its alignments with the frames.

/** Log-probabilities of a recording, [frames · vocabulary]. */
export interface FrameScores {
  readonly values: Float32Array;
  readonly vocabulary: number;
}

/** Minimum number of candidate tokens per frame. */
const MIN_TOKENS = 40;

const NEVER = Number.NEGATIVE_INFINITY;

/** A sequence of tokens, with the log-probability of its alignments up to a frame. */
interface Prefix {
  readonly before: Prefix | null;
  /** Null for the empty sequence. */
  readonly token: number | null;
  /** Log-probabilities of the alignments that end with a blank (`blank`), and with the last token (`last`). */
  blank: number;
  last: number;
  readonly longer: Map<number, Prefix>;
}

function logAdd(a: number, b: number): number {
  if (a === NEVER) return b;
  if (b === NEVER) return a;
  return a > b ? a + Math.log1p(Math.exp(b - a)) : b + Math.log1p(Math.exp(a - b));
}

/** Returns the most likely sequence of tokens, without blanks. `beams`: number of prefixes that are kept. */
export function ctcBeams({ values, vocabulary }: FrameScores, beams: number, blank: number): number[] {
  let prefixes: Prefix[] = [{ before: null, token: null, blank: 0, last: NEVER, longer: new Map() }];
  for (let start = 0; start < values.length; start += vocabulary) {
    const row = values.subarray(start, start + vocabulary);
    prefixes = stepOf(prefixes, row, likeliest(row, Math.max(MIN_TOKENS, 2 * beams)), blank)
      .sort((a, b) => total(b) - total(a))
      .slice(0, beams);
  }
  const ids: number[] = [];
  for (let prefix: Prefix | null = prefixes[0] ?? null; prefix?.token != null; prefix = prefix.before)
    ids.unshift(prefix.token);
  return ids;
}

const total = ({ blank, last }: Prefix) => logAdd(blank, last);

function stepOf(prefixes: readonly Prefix[], row: Float32Array, tokens: readonly number[], blank: number): Prefix[] {
  const found = new Map<Prefix, { blank: number; last: number }>();
  const sumOf = (prefix: Prefix) => {
    const known = found.get(prefix) ?? { blank: NEVER, last: NEVER };
    found.set(prefix, known);
    return known;
  };
  for (const prefix of prefixes) {
    const sums = sumOf(prefix);
    sums.blank = logAdd(sums.blank, total(prefix) + (row[blank] as number));
    if (prefix.token !== null) sums.last = logAdd(sums.last, prefix.last + (row[prefix.token] as number));
    for (const token of tokens) {
      if (token === blank) continue;
      // A repeated token is a new token only after a blank.
      const from = token === prefix.token ? prefix.blank : total(prefix);
      if (from === NEVER) continue;
      const grown = sumOf(grownBy(prefix, token));
      grown.last = logAdd(grown.last, from + (row[token] as number));
    }
  }
  for (const [prefix, sums] of found) Object.assign(prefix, sums);
  return [...found.keys()];
}

/** Returns the prefix with one more token. It is always the same object, so that its alignments add up. */
function grownBy(prefix: Prefix, token: number): Prefix {
  const known = prefix.longer.get(token);
  if (known) return known;
  const grown: Prefix = { before: prefix, token, blank: NEVER, last: NEVER, longer: new Map() };
  prefix.longer.set(token, grown);
  return grown;
}

/** Returns the indices of the largest values. */
function likeliest(row: Float32Array, count: number): readonly number[] {
  const all = Array.from(row.keys());
  if (count >= row.length) return all;
  return all.sort((a, b) => (row[b] as number) - (row[a] as number)).slice(0, count);
}

/**
 * Returns the token or blank of each frame in the most likely alignment of `ids`. Null if there are too few frames. A
 * repeated token needs a blank in between.
 */
export function ctcAlignment(
  { values, vocabulary }: FrameScores,
  ids: readonly number[],
  blank: number,
): number[] | null {
  const frames = values.length / vocabulary;
  const path = [blank, ...ids.flatMap((id) => [id, blank])]; // states: blanks between tokens
  const states = path.length;
  let best = new Float64Array(states).fill(NEVER);
  best[0] = 0;
  const moves = new Uint8Array(frames * states); // number of states by which the best path advanced
  for (let frame = 0; frame < frames; frame++) {
    const next = new Float64Array(states).fill(NEVER);
    for (let state = 0; state < states; state++) {
      const [score, move] = bestMove(best, state, maxMove(path, state, frame === 0));
      next[state] = score + (values[frame * vocabulary + (path[state] as number)] as number);
      moves[frame * states + state] = move;
    }
    best = next;
  }
  const isLastToken = states > 1 && (best[states - 2] as number) > (best[states - 1] as number);
  let state = isLastToken ? states - 2 : states - 1;
  if (best[state] === NEVER) return null;
  const tokens = new Array<number>(frames);
  for (let frame = frames - 1; frame >= 0; frame--) {
    tokens[frame] = path[state] as number;
    state -= moves[frame * states + state] as number;
  }
  return tokens;
}

/**
 * Returns the maximum number of states by which a path may advance to `state`. The first frame may begin with a token.
 */
function maxMove(path: readonly number[], state: number, isFirst: boolean): number {
  if (isFirst) return state === 1 ? 1 : 0;
  const isNewToken = state % 2 === 1 && state >= 3 && path[state] !== path[state - 2];
  return isNewToken ? 2 : Math.min(1, state);
}

/** Returns the highest score before `state`, and the number of states from there. */
function bestMove(best: Float64Array, state: number, furthest: number): readonly [score: number, move: number] {
  let [score, move] = [NEVER, 0];
  for (let step = 0; step <= furthest; step++)
    if ((best[state - step] as number) > score) [score, move] = [best[state - step] as number, step];
  return [score, move];
}
