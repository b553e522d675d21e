// The CMU pronouncing dictionary as examples: letters in, phonemes out.

import { dictionary } from 'cmu-pronouncing-dictionary';
import { CharTokenizer, Random, WordTokenizer } from '../src/index.js';

export interface Entry {
  readonly word: string;
  /** Every pronunciation that the dictionary lists, without stress. */
  readonly pronunciations: readonly string[];
}

/** All words of letters and apostrophes, in random order, the same for the same seed. */
export function loadEntries(seed: number): Entry[] {
  const entries = new Map<string, Set<string>>();
  for (const [key, value] of Object.entries(dictionary)) {
    const word = key.replace(/\(\d+\)$/, ''); // "read(2)" is another pronunciation of "read"
    if (!/^[a-z']+$/.test(word)) continue;
    const pronunciation = value.replace(/ *#.*$/, '').replace(/\d/g, '');
    entries.set(word, (entries.get(word) ?? new Set()).add(pronunciation));
  }
  const list = [...entries].map(([word, all]) => ({ word, pronunciations: [...all] }));
  return new Random(seed).shuffle(list);
}

/** The two vocabularies of a pronunciation model. */
export class Spelling {
  readonly letters: CharTokenizer;
  readonly phonemes: WordTokenizer;

  constructor(entries: readonly Entry[]) {
    const options = { special: { pad: '<pad>', bos: '<s>', eos: '</s>' } };
    this.letters = CharTokenizer.train(
      entries.map(({ word }) => word),
      options,
    );
    this.phonemes = WordTokenizer.train(
      entries.flatMap(({ pronunciations }) => pronunciations),
      options,
    );
  }
}
