import { checkNumber } from '../core/check.js';
import { Random } from '../core/random.js';
import { pairKey } from './bpe-trainer.js';
import { BYTE_NAMES } from './byte-level.js';
import type { TokenizerJson } from './json.js';

/** Number of segmentations drawn per word. Further ones would rarely be new. */
const WAYS = 32;

/** Marks a missing position. */
const NONE = -1;

/**
 * Byte-level BPE that omits merges at random (BPE-dropout: Provilkov et al. 2020, arXiv 1910.13267). A model that sees
 * words both whole and in pieces learns the meaning of the pieces, which helps with rare words.
 */
export class BpeDropout {
  /** Rank and result of the merge for each pair of ids. */
  readonly #merges = new Map<number, { readonly rank: number; readonly made: number }>();
  /** Token id of each byte. */
  readonly #bytes: readonly number[];
  readonly #whole = new Map<string, readonly number[]>();
  readonly #ways = new Map<string, readonly (readonly number[])[]>();

  /**
   * `json` is a `tokenizer.json` whose model is byte-level BPE. `p`, from 0 to below 1, is the probability that a step
   * skips a possible merge. Throws ArgumentError for other values.
   */
  constructor(
    { model }: TokenizerJson,
    private readonly p: number,
  ) {
    checkNumber('BpeDropout', 'p', p, (value) => value >= 0 && value < 1, 'a number from 0 to below 1');
    const ids = model.vocab as Readonly<Record<string, number>>;
    const idOf = (token: string) => ids[token] as number;
    this.#bytes = BYTE_NAMES.map(idOf);
    for (const [rank, [left, right]] of ((model.merges ?? []) as readonly [string, string][]).entries())
      this.#merges.set(pairKey(idOf(left), idOf(right)), { rank, made: idOf(left + right) });
  }

  /** Returns the ids of a pre-tokenized word with every merge applied. */
  whole(word: string): readonly number[] {
    return remembered(this.#whole, word, () => this.#merged(word, () => false));
  }

  /**
   * Returns the ids of a word in one of its segmentations, chosen by `random`. The set of segmentations depends only on
   * the word.
   */
  draw(word: string, random: Random): readonly number[] {
    if (this.p === 0) return this.whole(word);
    const ways = remembered(this.#ways, word, () => {
      const wordRandom = new Random(
        0,
        [...word].reduce((sum, character) => (31 * sum + (character.codePointAt(0) as number)) % 2 ** 31, 7),
      );
      return Array.from({ length: WAYS }, () => this.#merged(word, () => wordRandom.uniform() < this.p));
    });
    return ways[random.below(WAYS)] as readonly number[];
  }

  /** Repeatedly applies the earliest learned merge, until no pair can be merged. */
  #merged(word: string, isPassedOver: () => boolean): number[] {
    const ids = Array.from(new TextEncoder().encode(word), (byte) => this.#bytes[byte] as number);
    for (;;) {
      let [best, rank, made] = [NONE, Number.POSITIVE_INFINITY, NONE];
      for (let index = 0; index + 1 < ids.length; index++) {
        const merge = this.#merges.get(pairKey(ids[index] as number, ids[index + 1] as number));
        if (merge === undefined || merge.rank >= rank || isPassedOver()) continue;
        [best, rank, made] = [index, merge.rank, merge.made];
      }
      if (best === NONE) return ids;
      ids.splice(best, 2, made);
    }
  }
}

function remembered<Value>(known: Map<string, Value>, word: string, make: () => Value): Value {
  let found = known.get(word);
  if (found === undefined) {
    found = make();
    known.set(word, found);
  }
  return found;
}
