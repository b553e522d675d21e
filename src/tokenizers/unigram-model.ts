import { atOnce, inSlices, sortedInParts } from '../core/slices.js';
import { byteTokens } from './byte-level.js';
import type { TokenizerModel } from './json.js';
import type { Model, ModelToken } from './model.js';

/** Penalty of a character without a token, relative to the worst token. */
const UNKNOWN_PENALTY = 10;

const MAX_REMEMBERED = 10_000;
const MAX_REMEMBERED_LENGTH = 256;

/** The tables of a vocabulary. They are large. */
interface Tables {
  readonly ids: ReadonlyMap<string, number>;
  /** The worst score. */
  readonly min: number;
  /** Tokens in ascending order, without the empty one. */
  readonly sorted: readonly string[];
}

/** Tables that `prepareUnigram` has made. */
const prepared = new WeakMap<object, Tables>();

/** Number of tokens that are processed before a pause. */
const TOKENS_A_SLICE = 8192;

/** Makes the tables of a Unigram model, in slices that yield to the event loop. */
export async function prepareUnigram(model: TokenizerModel): Promise<void> {
  prepared.set(model, await inSlices(makeTables(model)));
}

function* makeTables({ vocab }: TokenizerModel): Generator<undefined, Tables> {
  const ids = new Map<string, number>();
  let min = Number.POSITIVE_INFINITY;
  for (const [id, [token, score]] of (vocab as readonly (readonly [string, number])[]).entries()) {
    ids.set(token, id);
    min = Math.min(min, score);
    if (id % TOKENS_A_SLICE === TOKENS_A_SLICE - 1) yield;
  }
  const tokens = [...ids.keys()].filter((token) => token !== '');
  yield;
  return { ids, min, sorted: yield* sortedInParts(tokens, (a, b) => a < b) };
}

/** A vocabulary with scores. A word is segmented so that the sum of scores is maximal (Viterbi). */
export class UnigramModel implements Model {
  readonly ids: ReadonlyMap<string, number>;
  readonly count: number;
  readonly size: number;
  readonly #vocab: readonly (readonly [token: string, score: number])[];
  readonly #unknown: number | null;
  readonly #unknownScore: number;
  readonly #hasBytes: boolean;
  readonly #prefixes: Prefixes;
  readonly #known = new Map<string, readonly ModelToken[]>();

  constructor(model: TokenizerModel) {
    const { ids, min, sorted } = prepared.get(model) ?? atOnce(makeTables(model));
    this.#vocab = model.vocab as readonly (readonly [string, number])[];
    this.ids = ids;
    this.count = this.#vocab.length;
    this.size = this.#vocab.length;
    this.#unknown = model.unk_id ?? null;
    this.#unknownScore = min - UNKNOWN_PENALTY;
    this.#hasBytes = model.byte_fallback === true;
    this.#prefixes = new Prefixes(sorted);
  }

  tokenOf(id: number): string | undefined {
    return this.#vocab[id]?.[0];
  }

  tokensOf(word: string): readonly ModelToken[] {
    let tokens = this.#known.get(word);
    if (tokens === undefined) {
      tokens = this.#spans(word).flatMap(([start, end]) => this.#tokensAt(word, start, end));
      if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
      if (word.length <= MAX_REMEMBERED_LENGTH) this.#known.set(word, tokens);
    }
    return tokens;
  }

  #tokensAt(word: string, start: number, end: number): ModelToken[] {
    const token = word.slice(start, end);
    const id = this.ids.get(token);
    if (id !== undefined) return [{ id, token, start, end }];
    const bytes = this.#hasBytes ? byteTokens(token) : [];
    if (bytes.length > 0 && bytes.every((byte) => this.ids.has(byte)))
      return bytes.map((byte) => ({ id: this.ids.get(byte) as number, token: byte, start, end }));
    return [{ id: this.#unknown, token, start, end }];
  }

  /** Returns the best segmentation of a word. Consecutive characters without a token form one span. */
  #spans(word: string): (readonly [start: number, end: number])[] {
    const { starts, isUnknown } = this.#bestPaths(word);
    const spans: (readonly [start: number, end: number])[] = [];
    let wasUnknown = false;
    for (let end = word.length; end > 0; end = starts[end] as number) {
      const start = starts[end] as number;
      const last = spans.at(-1);
      const joins = wasUnknown && isUnknown[end] === 1 && last !== undefined;
      if (joins) spans[spans.length - 1] = [start, last[1]];
      else spans.push([start, end]);
      wasUnknown = isUnknown[end] === 1;
    }
    return spans.reverse();
  }

  /** Best path to each position: the start of its last token, and a flag for the unknown token. */
  #bestPaths(word: string) {
    const scores = new Float64Array(word.length + 1);
    const starts = new Int32Array(word.length + 1).fill(-1);
    const isUnknown = new Uint8Array(word.length + 1);
    const offer = (start: number, end: number, score: number, id: number | null) => {
      const sum = score + (scores[start] as number);
      if (starts[end] !== -1 && !(sum > (scores[end] as number))) return;
      scores[end] = sum;
      starts[end] = start;
      isUnknown[end] = Number(id === this.#unknown);
    };
    for (let start = 0; start < word.length; ) {
      const next = start + String.fromCodePoint(word.codePointAt(start) as number).length;
      let hasOne = false;
      for (const end of this.#prefixes.endsFrom(word, start)) {
        const id = this.ids.get(word.slice(start, end)) as number;
        offer(start, end, (this.#vocab[id] as readonly [string, number])[1], id);
        hasOne ||= end === next;
      }
      if (!hasOne) offer(start, next, this.#unknownScore, this.#unknown);
      start = next;
    }
    return { starts, isUnknown };
  }
}

/**
 * Finds all texts of a list that begin at a position of another text. The list is sorted, and each UTF-16 unit narrows
 * the range.
 */
class Prefixes {
  readonly #sorted: readonly string[];
  /** Range of the texts that share a first unit. */
  readonly #ranges = new Map<number, readonly [from: number, to: number]>();

  constructor(sorted: readonly string[]) {
    this.#sorted = sorted;
    for (let from = 0; from < this.#sorted.length; ) {
      const first = (this.#sorted[from] as string).charCodeAt(0);
      const to = this.#bound(from, this.#sorted.length, 0, first + 1);
      this.#ranges.set(first, [from, to]);
      from = to;
    }
  }

  *endsFrom(text: string, start: number): Generator<number> {
    let [from, to] = this.#ranges.get(text.charCodeAt(start)) ?? [0, 0];
    for (let depth = 1; from < to; depth++) {
      if ((this.#sorted[from] as string).length === depth) {
        yield start + depth;
        from++;
      }
      const unit = text.charCodeAt(start + depth);
      if (Number.isNaN(unit)) return;
      from = this.#bound(from, to, depth, unit);
      to = this.#bound(from, to, depth, unit + 1);
    }
  }

  /** Index of the first text in a range whose unit at `depth` is not below `unit`. */
  #bound(from: number, to: number, depth: number, unit: number): number {
    let [low, high] = [from, to];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle] as string).charCodeAt(depth) < unit) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
