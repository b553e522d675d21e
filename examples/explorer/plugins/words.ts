import { dictionary } from 'cmu-pronouncing-dictionary';

/** Number of words in the sample: enough to train a small model, but a small download. */
const SIZE = 8000;

/**
 * Returns a sample of the CMU dictionary, the same at each build. Lines have a word, a tab and its phonemes without
 * stress.
 */
export function wordList(): string {
  const lines = Object.entries(dictionary)
    .filter(([word]) => /^[a-z]{2,12}$/.test(word))
    .map(([word, phonemes]) => `${word}\t${phonemes.replace(/\d/g, '')}`);
  return lines
    .map((line) => ({ line, place: hash(line) }))
    .sort((a, b) => a.place - b.place)
    .slice(0, SIZE)
    .map(({ line }) => line)
    .join('\n');
}

/** FNV-1a hash. Sorting by it is a reproducible shuffle. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
