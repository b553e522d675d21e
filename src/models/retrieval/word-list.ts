// The tokenizer of sentence-transformers' word embeddings: words between white space, without punctuation.

import { describeValue, isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Json } from '../model-config.js';

/** The white space of Python's `str.split`. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts the separators of files, groups, records and units
const SPACES = /[\p{White_Space}\x1c-\x1f]+/u;
/** Python's `string.punctuation` at both ends of a word. */
const PUNCTUATION = /^[!-/:-@[-`{-~]+|[!-/:-@[-`{-~]+$/g;

/** A list of words, and words that are left out. */
export class WordList {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #stopWords: ReadonlySet<string>;

  constructor(
    readonly words: readonly string[],
    stopWords: readonly string[] = [],
    private readonly lowercase = false,
  ) {
    this.#ids = new Map(words.map((word, id) => [word, id]));
    this.#stopWords = new Set(stopWords);
  }

  /** Reads `whitespacetokenizer_config.json`. Throws FormatError for other content. */
  static read({ vocab, stop_words: stopWords = [], do_lower_case: lowercase }: Json, where: string): WordList {
    return new WordList(wordsOf(vocab, 'vocab', where), wordsOf(stopWords, 'stop_words', where), lowercase === true);
  }

  /** The ids of the words of a text. Unknown words are left out. */
  encode(text: string): number[] {
    const words = (this.lowercase ? text.toLowerCase() : text).split(SPACES);
    return words.flatMap((word) => (word === '' ? [] : (this.#idOf(word) ?? [])));
  }

  /** The id of a word as it is, without punctuation, or in lower case; null for a word that is left out. */
  #idOf(word: string): number | null {
    const bare = word.replace(PUNCTUATION, '');
    for (const form of [word, bare, bare.toLowerCase()]) {
      if (this.#stopWords.has(form)) return null;
      const id = this.#ids.get(form);
      if (id !== undefined) return id;
    }
    return null;
  }
}

/** Throws FormatError unless the value is a list of texts. */
export function wordsOf(value: unknown, name: string, where: string): readonly string[] {
  if (Array.isArray(value) && value.every((word) => typeof word === 'string')) return value;
  throw new FormatError(`${where}: ${name} is ${describeValue(value)}, expected a list of words`);
}

/** The words of BoW's settings, each once. Throws FormatError unless there are some. */
export const distinctWords = ({ vocab }: Json): readonly string[] => [
  ...new Set(wordsOf(vocab, 'vocab', 'config.json')),
];

/** The weights of the words in the settings of BoW or WordWeights. Throws FormatError. */
export function weightsOf(config: Json, where = 'config.json'): readonly number[] {
  const { vocab, word_weights: wordWeights = {}, unknown_word_weight: unknown = 1 } = config;
  const words = wordsOf(vocab, 'vocab', where);
  const isWeight = (value: unknown) => typeof value === 'number';
  if (words.length === 0 || !isObject(wordWeights) || ![unknown, ...Object.values(wordWeights)].every(isWeight))
    throw new FormatError(`${where}: expected a vocab of words, and numbers as word_weights`);
  const weights = new Map(Object.entries(wordWeights)) as Map<string, number>;
  return words.map((word) => weights.get(word) ?? weights.get(word.toLowerCase()) ?? (unknown as number));
}
