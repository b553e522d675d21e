// Quality of a window's text: the model's confidence, and the rules for another attempt (section 4.5 of Radford et al.
// 2022).

import type { LogitsProcessor } from '../../generate/logits-processor.js';

/** Confidence in a part of a transcript. */
export interface SpeechQuality {
  /** The one it was drawn with at last; 0 is the likeliest. */
  readonly temperature: number;
  /** The mean of the log-probabilities of its tokens, its end included. */
  readonly averageLogProbability: number;
  /** Bytes of its text to those that zlib makes of them: much above 2 it repeats itself. */
  readonly compressionRatio: number;
  /** Probability that nobody speaks. */
  readonly noSpeechProbability: number;
}

/** When a window is heard again, at the next temperature, and when it is passed over as silent. */
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

  /** The mean of sequence `i`, whose last choice is `last`. */
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

/** The probability of one token among all. */
export function probabilityOf(scores: Float32Array, token: number): number {
  return Math.exp((scores[token] as number) - logSum(scores));
}

/** Bytes to those that zlib makes of them. */
export async function compressionRatio(bytes: Uint8Array): Promise<number> {
  if (bytes.length === 0) return 0;
  const packed = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream('deflate'));
  return bytes.length / (await new Response(packed).arrayBuffer()).byteLength;
}

/** Ids in as many bytes as the vocabulary takes, as transformers compresses them. */
export function tokenIdBytes(tokens: readonly number[], vocabulary: number): Uint8Array {
  const size = Math.floor(Math.log2(vocabulary) / 8) + 1;
  return Uint8Array.from({ length: tokens.length * size }, (_, i) => {
    return ((tokens[Math.floor(i / size)] as number) >> (8 * (i % size))) & 0xff;
  });
}
