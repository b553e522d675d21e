// Quality of a window's text: the model's confidence, and the rules for another attempt (section 4.5 of Radford et al.
// 2022).

import type { LogitsProcessor } from '../../generate/logits-processor.js';

/** Confidence in a part of a transcript. */
export interface SpeechQuality {
  /** Temperature of the last attempt; 0 is greedy. */
  readonly temperature: number;
  /** Mean log-probability of its tokens, including the end token. */
  readonly averageLogProbability: number;
  /**
   * Ratio of the bytes of its text to their size after compression by zlib. If it is much above 2, the text repeats
   * itself.
   */
  readonly compressionRatio: number;
  /** Probability that there is no speech. */
  readonly noSpeechProbability: number;
}

/** Limits at which a window is transcribed again at the next temperature, or is skipped as silent. */
export interface QualityLimits {
  /** Compression ratio of the tokens, as in transformers. */
  readonly compressionRatio: number | null;
  readonly logProbability: number | null;
  readonly noSpeech: number | null;
}

/**
 * Sums the log-probabilities of the chosen tokens of each sequence, by the scores used for the choice. It runs after
 * the processors that forbid tokens.
 */
export class ChosenScores {
  readonly #sums = new Map<readonly number[], { sum: number; count: number; scores: Float32Array; total: number }>();

  readonly process: LogitsProcessor = (scores, tokens) => {
    const known = this.#sums.get(tokens);
    const sum = known ? known.sum + scoreOf(known, tokens.at(-1) as number) : 0;
    this.#sums.set(tokens, { sum, count: (known?.count ?? 0) + 1, scores: scores.slice(), total: logSum(scores) });
  };

  /** Returns the mean of sequence `i`, whose last token is `last`. */
  mean(i: number, last: number): number {
    const found = [...this.#sums.values()][i];
    return found ? (found.sum + scoreOf(found, last)) / found.count : 0;
  }
}

const scoreOf = ({ scores, total }: { scores: Float32Array; total: number }, token: number) =>
  (scores[token] as number) - total;

/** log Σ e^score. */
function logSum(scores: Float32Array): number {
  let greatest = Number.NEGATIVE_INFINITY;
  for (const score of scores) greatest = Math.max(greatest, score);
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - greatest);
  return greatest + Math.log(sum);
}

/** Returns the probability of a token. */
export function probabilityOf(scores: Float32Array, token: number): number {
  return Math.exp((scores[token] as number) - logSum(scores));
}

/** Returns the ratio of the number of bytes to their size after compression by zlib. */
export async function compressionRatio(bytes: Uint8Array): Promise<number> {
  if (bytes.length === 0) return 0;
  const packed = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream('deflate'));
  return bytes.length / (await new Response(packed).arrayBuffer()).byteLength;
}

/** Writes ids in the number of bytes that the vocabulary needs, because transformers compresses these. */
export function tokenIdBytes(tokens: readonly number[], vocabulary: number): Uint8Array {
  const size = Math.floor(Math.log2(vocabulary) / 8) + 1;
  return Uint8Array.from({ length: tokens.length * size }, (_, i) => {
    return ((tokens[Math.floor(i / size)] as number) >> (8 * (i % size))) & 0xff;
  });
}
