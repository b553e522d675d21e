import TinyQueue from 'tinyqueue';

/** Two tokens that are merged into one, as written in the vocabulary. */
export type Merge = readonly [left: string, right: string];

/** Upper limit of ids, so that a pair of them fits a double exactly. */
export const ID_LIMIT = 2 ** 26;

export const pairKey = (left: number, right: number): number => left * ID_LIMIT + right;

/** A word of the corpus as token ids, with its frequency. */
interface CountedWord {
  readonly ids: readonly number[];
  readonly count: number;
}

interface Pair {
  readonly left: number;
  readonly right: number;
  /** Number of occurrences in the corpus. */
  count: number;
  /** Positions in the text where the pair begins, or began earlier. */
  positions: number[];
  /** True once the merge was learned. */
  learnt: boolean;
}

/** A pair with its count at the time of queuing. The current count may be lower. */
interface Candidate {
  readonly pair: Pair;
  readonly count: number;
}

/** Marks the absence of a token: the end of a word, or a token merged into the one before. */
const NONE = -1;

/**
 * Merges the most frequent pair of neighbouring tokens until there are `vocabSize` tokens or no pair occurs
 * `minFrequency` times. Ties go to the pair with the lower left id, then the lower right id. `tokens` lists the initial
 * tokens. A merge whose result equals a special token is skipped.
 *
 * All distinct words form one linked list. A merge visits only the positions of its pair and corrects the counts of the
 * neighbouring pairs. Queued counts can be outdated, but never too low; they are corrected when popped.
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
    if (known !== undefined && known < tokens.length) continue; // it spells a special token, which is not text
    // Two different pairs can spell the same token. They share one id, and each keeps its own rule.
    const id = known ?? vocabulary.push(left + right) - 1;
    idOf.set(left + right, id);
    if (!pair.learnt) merges.push([left, right]);
    pair.learnt = true;
    for (const made of text.merge(pair, id)) queue.push({ pair: made, count: made.count });
  }
  return merges;
}

/** The words as linked lists of tokens, with the positions of each pair of neighbours. */
class PairText {
  readonly pairs = new Map<number, Pair>();
  readonly #ids: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** Frequency of the word at each position. */
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
      for (let position = start + 1; position < start + ids.length; position++) {
        this.#next[position - 1] = position;
        this.#previous[position] = position - 1;
        this.#add(position - 1);
      }
      start += ids.length;
    }
  }

  /** Replaces `pair` by `id` everywhere, from left to right. Returns the pairs whose counts increased. */
  merge(pair: Pair, id: number): Set<Pair> {
    const made = new Set<Pair>();
    const positions = Int32Array.from(pair.positions).sort();
    pair.positions = [];
    for (const position of positions) {
      const second = this.#next[position] as number;
      if (this.#ids[position] !== pair.left || second === NONE || this.#ids[second] !== pair.right) continue; // gone
      const before = this.#previous[position] as number;
      const after = this.#next[second] as number;
      this.#remove(position);
      if (before !== NONE) this.#remove(before);
      if (after !== NONE) this.#remove(second);
      this.#ids[position] = id;
      this.#ids[second] = NONE;
      this.#next[position] = after;
      if (before !== NONE) made.add(this.#add(before));
      if (after !== NONE) {
        this.#previous[after] = position;
        made.add(this.#add(position));
      }
    }
    return made;
  }

  #pairAt(position: number): Pair {
    const left = this.#ids[position] as number;
    const right = this.#ids[this.#next[position] as number] as number;
    const key = pairKey(left, right);
    let pair = this.pairs.get(key);
    if (pair === undefined) {
      pair = { left, right, count: 0, positions: [], learnt: false };
      this.pairs.set(key, pair);
    }
    return pair;
  }

  #add(position: number): Pair {
    const pair = this.#pairAt(position);
    pair.count += this.#counts[position] as number;
    pair.positions.push(position);
    return pair;
  }

  #remove(position: number): void {
    this.#pairAt(position).count -= this.#counts[position] as number;
  }
}
