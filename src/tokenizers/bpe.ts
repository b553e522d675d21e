import TinyQueue from 'tinyqueue';
import { checkKnown, checkNumber, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { ID_LIMIT, learnMerges, type Merge, pairKey } from './bpe-trainer.js';
import { ByteTokenizer } from './byte.js';
import { BYTE_LEVEL, GPT2_WORDS } from './byte-level.js';
import { restoreTokenizer, sameJson, type TokenizerParts } from './json.js';
import { type SpecialTokens, specialList } from './special.js';
import { checkMinFrequency, visitCorpus } from './vocabulary.js';

export interface BpeOptions {
  /** Maximum size: special tokens, the 256 bytes, and merges. The result is smaller if no pair is left to merge. */
  vocabSize: number;
  /** Minimum frequency of a pair to be merged, at least 1. Default: 2. */
  minFrequency?: number | undefined;
  /** Special tokens, first in the vocabulary in the order pad, bos, eos, unk, additional. Default: none. */
  special?: SpecialTokens | undefined;
}

const WORDS = new RegExp(GPT2_WORDS, 'gu');

const WORDWISE: Pick<TokenizerParts, 'pre_tokenizer' | 'decoder'> = {
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [{ type: 'Split', pattern: { Regex: GPT2_WORDS }, behavior: 'Isolated', invert: false }, BYTE_LEVEL],
  },
  decoder: BYTE_LEVEL,
};

/**
 * The pre-tokenizer of files that earlier versions wrote. Readers implement GPT-2's pattern differently with respect to
 * white space.
 */
const GPT2 = { ...BYTE_LEVEL, use_regex: true };

/** Marks a token that was merged into the one before it. */
const GONE = -1;

const CACHE_ENTRIES = 1 << 16;
const CACHE_LENGTH = 64;

/**
 * Byte-pair encoding over UTF-8 bytes. A frequent word is one token, a rare word several, and no text is unknown.
 * Sennrich et al., 2016 (https://arxiv.org/abs/1508.07909); on bytes: Radford et al., 2019 (GPT-2).
 *
 * ```ts
 * const tokenizer = BpeTokenizer.train(corpus, { vocabSize: 8000, special: { eos: '</s>' } });
 * const ids = tokenizer.encode('Hello, world!');
 * ```
 */
export class BpeTokenizer extends ByteTokenizer {
  readonly #merges: readonly Merge[];
  /** Rank of each pair of ids among the merges. The lowest rank is merged first. */
  readonly #ranks = new Map<number, number>();
  /** Token id that each merge produces. */
  readonly #made: readonly number[];
  readonly #cache = new Map<string, readonly number[]>();

  /**
   * `merges` are in the order in which they were learned. Throws ArgumentError if a merge uses a token that does not
   * exist yet.
   */
  constructor(merges: readonly Merge[], special: SpecialTokens = {}) {
    if (!Array.isArray(merges))
      throw new ArgumentError(`BpeTokenizer: the merges are ${describeValue(merges)}, expected an array`);
    super(special, [...new Set(merges.map(([left, right]) => left + right))], 'BpeTokenizer');
    this.#merges = merges;
    this.#made = merges.map(([left, right], rank) => {
      const [a, b, made] = [left, right, left + right].map((token) => this.tokenToId(token));
      if (a === undefined || b === undefined || made === undefined) {
        throw new ArgumentError(`BpeTokenizer: merge ${rank} joins ${left} and ${right}, which are not both tokens`);
      }
      this.#ranks.set(pairKey(a, b), rank);
      return made;
    });
  }

  /**
   * Learns merges from a corpus. Equal corpora and options give equal tokenizers: among equally frequent pairs, the one
   * with the lower ids is merged first. Throws ArgumentError for an empty corpus, or a vocabulary too small for the
   * bytes.
   */
  static train(corpus: string | Iterable<string>, options: BpeOptions): BpeTokenizer {
    const {
      vocabSize,
      minFrequency = 2,
      special = {},
    } = checkKnown('BpeTokenizer', options, ['vocabSize', 'minFrequency', 'special']);
    const base = specialList(special).length + 256;
    const isSize = (size: number) => Number.isInteger(size) && size >= base && size < ID_LIMIT;
    checkNumber('BpeTokenizer', 'vocabSize', vocabSize, isSize, `an integer of at least ${base}`);
    checkMinFrequency('BpeTokenizer', minFrequency);
    const counts = new Map<string, number>();
    visitCorpus('BpeTokenizer', corpus, special, (text) => {
      for (const word of text.match(WORDS) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
    });
    const bytes = new ByteTokenizer(special, [], 'BpeTokenizer');
    const words = [...counts].map(([word, count]) => ({ ids: bytes.encode(word), count }));
    const tokens = Array.from({ length: base }, (_, id) => bytes.idToToken(id) as string);
    return new BpeTokenizer(learnMerges(words, tokens, vocabSize, minFrequency), special);
  }

  /** Restores a tokenizer from the result of `toJSON`. */
  static override fromJSON(json: unknown): BpeTokenizer {
    const { pre_tokenizer, decoder } = (json ?? {}) as Partial<TokenizerParts>;
    const isOlder = sameJson(pre_tokenizer, GPT2) && sameJson(decoder, GPT2);
    return restoreTokenizer(
      isOlder ? { ...(json as object), ...WORDWISE } : json,
      (_, special, { model }) => new BpeTokenizer(model.merges as readonly Merge[], special),
    );
  }

  protected override encodeText(text: string, ids: number[]): void {
    for (const word of text.match(WORDS) ?? []) {
      let found = this.#cache.get(word);
      if (found === undefined) {
        found = this.#encodeWord(word);
        if (this.#cache.size >= CACHE_ENTRIES) this.#cache.clear();
        if (word.length <= CACHE_LENGTH) this.#cache.set(word, found);
      }
      for (const id of found) ids.push(id);
    }
  }

  /** Applies the merge of the lowest rank to its leftmost pair until no merge applies. */
  #encodeWord(word: string): number[] {
    const ids: number[] = [];
    super.encodeText(word, ids);
    const next = ids.map((_, index) => index + 1);
    const previous = ids.map((_, index) => index - 1);
    const rankAt = (index: number) =>
      this.#ranks.get(pairKey(ids[index] as number, ids[next[index] as number] as number));
    // Rank and position share one number, ordered by rank, then by position.
    const queue = new TinyQueue<number>();
    const offer = (index: number) => {
      const rank = rankAt(index);
      if (rank !== undefined) queue.push(rank * ID_LIMIT + index);
    };
    for (let index = 0; index < ids.length; index++) offer(index);
    for (let best = queue.pop(); best !== undefined; best = queue.pop()) {
      const index = best % ID_LIMIT;
      const rank = (best - index) / ID_LIMIT;
      if (rankAt(index) !== rank) continue; // another merge took the pair
      const second = next[index] as number;
      ids[index] = this.#made[rank] as number;
      ids[second] = GONE;
      next[index] = next[second] as number;
      previous[next[index]] = index;
      offer(previous[index] as number);
      offer(index);
    }
    return ids.filter((id) => id !== GONE);
  }

  protected override parts(): TokenizerParts {
    return { ...WORDWISE, model: this.bytePairs(this.#merges) };
  }
}
