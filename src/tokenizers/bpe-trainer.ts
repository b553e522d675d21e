import TinyQueue from 'tinyqueue';

/** Two tokens that become one, as written in the vocabulary. */
export type Merge = readonly [left: string, right: string];

/** Ids stay below it, so that a pair of them fits a number. */
export const ID_LIMIT = 2 ** 26;

export const pairKey = (left: number, right: number): number => left * ID_LIMIT + right;

/** A word of the corpus as token ids, and how often it occurs. */
interface CountedWord {
  readonly ids: readonly number[];
  readonly count: number;
}

interface Pair {
  readonly left: number;
  readonly right: number;
  /** Occurrences in the corpus. */
  count: number;
  /** Where it begins in the text, and where it once did. */
  positions: number[];
  /** Whether it has been learnt. */
  learnt: boolean;
}

/** A pair with the number it had when queued; it may have fewer by now. */
interface Candidate {
  readonly pair: Pair;
  readonly count: number;
}

/** No token: outside a word, or merged into the one before. */
const NONE = -1;

/**
 * Merges the most frequent pair of neighbouring tokens, again and again, until there are `vocabSize` tokens or no pair
 * occurs `minFrequency` times. Ties go to the lower left id, then the lower right one. `tokens` lists those to begin
 * with; what spells one of them is not merged.
 *
 * All distinct words lie one after another in one linked list. A merge visits only the places of its pair and corrects
 * the counts of the pairs around them; the queue holds outdated counts, which only ever are too high and are corrected
 * when popped.
 */
export function learnMerges(
  words: readonly CountedWord[],
  tokens: readonly string[],
  vocabSize: number,
  minFrequency: number,
): Merge[] {
  const vocabulary = [...tokens];
  const idOf = new Map(vocabulary.map((token, id) => [token, id]));
  const text = new PairText(words);
  const queue = new TinyQueue<Candidate>(
    [...text.pairs.values()].map((pair) => ({ pair, count: pair.count })),
    (a, b) => b.count - a.count || a.pair.left - b.pair.left || a.pair.right - b.pair.right,
  );
  const merges: Merge[] = [];
  while (vocabulary.length < vocabSize) {
    const best = queue.pop();
    if (best === undefined || best.count < minFrequency) break;
    const { pair } = best;
    if (best.count !== pair.count) {
      if (pair.count > 0) queue.push({ pair, count: pair.count });
      continue;
    }
    const [left, right] = [vocabulary[pair.left] as string, vocabulary[pair.right] as string];
    const known = idOf.get(left + right);
    if (known !== undefined && known < tokens.length) continue; // it spells a special token, which is no text
    // Two ways to the same token share it. A pair that returns by the second way is joined by the rule it already has.
    const id = known ?? vocabulary.push(left + right) - 1;
    idOf.set(left + right, id);
    if (!pair.learnt) merges.push([left, right]);
    pair.learnt = true;
    for (const made of text.merge(pair, id)) queue.push({ pair: made, count: made.count });
  }
  return merges;
}

/** The words as linked lists of tokens, with every pair of neighbours and where it is. */
class PairText {
  readonly pairs = new Map<number, Pair>();
  readonly #ids: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** Of the word at a position. */
  readonly #counts: Float64Array;

  constructor(words: readonly CountedWord[]) {
    const size = words.reduce((sum, { ids }) => sum + ids.length, 0);
    this.#ids = new Int32Array(size);
    this.#next = new Int32Array(size).fill(NONE);
    this.#previous = new Int32Array(size).fill(NONE);
    this.#counts = new Float64Array(size);
    let start = 0;
    for (const { ids, count } of words) {
      this.#ids.set(ids, start);
      this.#counts.fill(count, start, start + ids.length);
      for (let at = start + 1; at < start + ids.length; at++) {
        this.#next[at - 1] = at;
        this.#previous[at] = at - 1;
        this.#add(at - 1);
      }
      start += ids.length;
    }
  }

  /** Replaces `pair` by `id` everywhere, from left to right. Returns the pairs that this made more frequent. */
  merge(pair: Pair, id: number): Set<Pair> {
    const made = new Set<Pair>();
    const places = Int32Array.from(pair.positions).sort();
    pair.positions = [];
    for (const at of places) {
      const second = this.#next[at] as number;
      if (this.#ids[at] !== pair.left || second === NONE || this.#ids[second] !== pair.right) continue; // not any more
      const before = this.#previous[at] as number;
      const after = this.#next[second] as number;
      this.#remove(at);
      if (before !== NONE) this.#remove(before);
      if (after !== NONE) this.#remove(second);
      this.#ids[at] = id;
      this.#ids[second] = NONE;
      this.#next[at] = after;
      if (before !== NONE) made.add(this.#add(before));
      if (after !== NONE) {
        this.#previous[after] = at;
        made.add(this.#add(at));
      }
    }
    return made;
  }

  #pairAt(at: number): Pair {
    const left = this.#ids[at] as number;
    const right = this.#ids[this.#next[at] as number] as number;
    const key = pairKey(left, right);
    let pair = this.pairs.get(key);
    if (pair === undefined) {
      pair = { left, right, count: 0, positions: [], learnt: false };
      this.pairs.set(key, pair);
    }
    return pair;
  }

  #add(at: number): Pair {
    const pair = this.#pairAt(at);
    pair.count += this.#counts[at] as number;
    pair.positions.push(at);
    return pair;
  }

  #remove(at: number): void {
    this.#pairAt(at).count -= this.#counts[at] as number;
  }
}
