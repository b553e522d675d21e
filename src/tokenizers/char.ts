import { ArgumentError } from '../core/errors.js';
import { restoreTokenizer, type TokenizerParts } from './json.js';
import { type SpecialTokens, specialList } from './special.js';
import { buildVocabulary, type VocabularyOptions, VocabularyTokenizer } from './vocabulary.js';

/** Tokenizer with one token per character (Unicode code point). */
export class CharTokenizer extends VocabularyTokenizer {
  /**
   * `vocabulary` lists characters and special tokens by id. `special` names the special ones and their roles. Throws
   * ArgumentError for an empty vocabulary, a duplicate, a missing special token, or another entry that is not one
   * character.
   */
  constructor(vocabulary: readonly string[], special: SpecialTokens = {}) {
    super(vocabulary, special, 'CharTokenizer');
    const list = specialList(special);
    const longer = vocabulary.find((token) => Array.from(token).length !== 1 && !list.includes(token));
    if (longer !== undefined) throw new ArgumentError(`CharTokenizer: ${JSON.stringify(longer)} is not one character`);
  }

  /**
   * Makes a tokenizer for the characters of `corpus`, the most frequent first. Throws ArgumentError if no character
   * remains.
   */
  static train(corpus: string | Iterable<string>, options: VocabularyOptions = {}): CharTokenizer {
    return new CharTokenizer(
      buildVocabulary('CharTokenizer', corpus, options, (text) => text),
      options.special,
    );
  }

  /** Restores a tokenizer from the result of `toJSON`. */
  static fromJSON(json: unknown): CharTokenizer {
    return restoreTokenizer(json, (tokens, special) => new CharTokenizer(tokens, special));
  }

  protected override encodeText(text: string, ids: number[], position: (index: number) => number): void {
    let index = 0;
    for (const character of text) {
      ids.push(this.idFor(character, () => position(index)));
      index += character.length;
    }
  }

  protected override decodeIds(ids: readonly number[]): string {
    return ids.map((id) => this.tokens[id]).join('');
  }

  protected override parts(): TokenizerParts {
    return {
      pre_tokenizer: { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
      decoder: { type: 'Fuse' },
      model: this.wordLevel(),
    };
  }
}
