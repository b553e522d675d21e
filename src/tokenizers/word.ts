import { checkOneOf, checkOptions } from '../core/check.js';
import { restoreTokenizer, type TokenizerParts } from './json.js';
import type { SpecialTokens } from './special.js';
import { buildVocabulary, type VocabularyOptions, VocabularyTokenizer } from './vocabulary.js';

/**
 * Definition of a word. `whitespace`: text between white space. `punctuation`: a run of letters, digits, marks and
 * underscores, or any other single character.
 */
export type WordSplit = 'whitespace' | 'punctuation';

/**
 * Patterns of words. They use Unicode's definition of white space, because `\s` differs between dialects of regular
 * expressions.
 */
const WORDS: Record<WordSplit, string> = {
  whitespace: '\\P{White_Space}+',
  punctuation: '[\\p{L}\\p{M}\\p{N}_]+|[^\\p{White_Space}\\p{L}\\p{M}\\p{N}_]',
};

/** Tokenizer with one token per word. Decoding joins words with single spaces. */
export class WordTokenizer extends VocabularyTokenizer {
  readonly #split: WordSplit;
  readonly #pattern: RegExp;

  /**
   * `vocabulary` lists words and special tokens by id. `special` names the special ones and their roles. Throws
   * ArgumentError for an empty vocabulary, a duplicate or a missing special token.
   */
  constructor(vocabulary: readonly string[], special: SpecialTokens = {}, split: WordSplit = 'punctuation') {
    super(vocabulary, special, 'WordTokenizer');
    this.#split = split;
    this.#pattern = wordPattern(split);
  }

  /** Makes a tokenizer for the words of `corpus`, the most frequent first. Throws ArgumentError if no word remains. */
  static train(
    corpus: string | Iterable<string>,
    options: VocabularyOptions & { split?: WordSplit | undefined } = {},
  ): WordTokenizer {
    const { split = 'punctuation', ...kept } = checkOptions('WordTokenizer', options);
    const pattern = wordPattern(split);
    const words = (text: string) => text.match(pattern) ?? [];
    return new WordTokenizer(buildVocabulary('WordTokenizer', corpus, kept, words), kept.special, split);
  }

  /** Restores a tokenizer from the result of `toJSON`. */
  static fromJSON(json: unknown): WordTokenizer {
    return restoreTokenizer(json, (tokens, special, { pre_tokenizer }) => {
      const { pattern } = pre_tokenizer as { pattern?: { Regex?: string } };
      const split = pattern?.Regex === WORDS.whitespace ? 'whitespace' : 'punctuation';
      return new WordTokenizer(tokens, special, split);
    });
  }

  protected override encodeText(text: string, ids: number[], position: (index: number) => number): void {
    for (const { 0: word, index } of text.matchAll(this.#pattern)) {
      ids.push(this.idFor(word, () => position(index)));
    }
  }

  protected override decodeIds(ids: readonly number[]): string {
    return ids.map((id) => this.tokens[id]).join(' ');
  }

  protected override parts(): TokenizerParts {
    return {
      pre_tokenizer: { type: 'Split', pattern: { Regex: WORDS[this.#split] }, behavior: 'Removed', invert: true },
      decoder: null,
      model: this.wordLevel(),
    };
  }
}

/** Returns a regular expression that finds the words of a text. */
export function wordPattern(split: WordSplit): RegExp {
  checkOneOf('WordTokenizer', 'split', split, Object.keys(WORDS));
  return new RegExp(WORDS[split], 'gu');
}
