import { temperature, topK, topP } from 'simdformer/generate';
import type { Decoding } from '../../pronounce.js';

/** Returns the probabilities for sampling: after temperature, top-k and top-p; 0 for tokens that these exclude. */
export function shaped(logProbabilities: Float32Array, decoding: Decoding): Float32Array {
  const scores = logProbabilities.slice();
  if (decoding.kind === 'sample') {
    temperature(decoding.temperature)(scores, []);
    if (decoding.topK > 0) topK(decoding.topK)(scores, []);
    if (decoding.topP < 1) topP(decoding.topP)(scores, []);
  }
  const likelihoods = scores.map(Math.exp);
  const total = likelihoods.reduce((sum, value) => sum + value, 0);
  return likelihoods.map((value) => value / total);
}
