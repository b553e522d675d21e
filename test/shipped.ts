// The model that comes with the package, on words that every backend is asked about.
import { dictionary } from 'cmu-pronouncing-dictionary';
import type { Transformer } from '../src/index.js';
import { allowedError, assertClose, largest } from './tolerance.js';

export const shippedModel = 'models/g2p-en';

export const words = Object.keys(dictionary)
  .filter((word) => /^[a-z]{3,12}$/.test(word))
  .filter((_, i) => i % 1200 === 0);

/** Phonemes to score after these letters: any. */
export const targetsOf = (sources: readonly (readonly number[])[]): number[][] =>
  sources.map((ids) => [1, ...ids.map((id) => 3 + (id % 30))]);

/** Fails unless two backends' logits differ by roundings alone. */
export function assertLogits(
  logits: ArrayLike<number>,
  expected: ArrayLike<number>,
  { encoderLayers, decoderLayers, dFF, dModel }: Transformer['config'],
): void {
  // A chain of n sums of m terms rounds like one sum of n·m terms: the longest sum, once for each sub-layer.
  const terms = (2 * encoderLayers + 3 * decoderLayers) * Math.max(dFF, 3 * dModel);
  const scale = largest(expected);
  assertClose(
    'logits',
    logits,
    expected,
    (i) => Math.SQRT2 * allowedError(terms, Math.abs(expected[i] as number) + scale),
  );
}
