import type { GenerateOptions } from 'simdformer';
import { encodeWord, type Model, tokenName } from './model.js';

/** How tokens are chosen. */
export type Decoding =
  | { readonly kind: 'greedy' }
  | { readonly kind: 'beam'; readonly beams: number; readonly lengthPenalty: number }
  | {
      readonly kind: 'sample';
      readonly temperature: number;
      readonly topK: number;
      readonly topP: number;
      readonly seed: number;
    };

/** One answer of the decoder: the probabilities of what comes after the tokens that it read. */
export interface Step {
  /** Begins with the start token. */
  readonly read: readonly number[];
  /** Log-probabilities, one for each token of the vocabulary; before temperature and the like. */
  readonly logProbabilities: Float32Array;
}

/** A sequence that was written to its end. */
export interface Hypothesis {
  /** Without start and end. */
  readonly tokens: readonly number[];
  /** Of each token, and of the end if there is one. */
  readonly logProbabilities: readonly number[];
  readonly score: number;
  readonly ended: boolean;
}

/** What a model made of a word. */
export interface Pronunciation {
  readonly model: Model;
  readonly word: string;
  readonly decoding: Decoding;
  /** Ids of the letters, as the encoder reads them. */
  readonly source: readonly number[];
  /** Ids of the answer, without start and end. */
  readonly target: readonly number[];
  /** Ids that the decoder reads to give the answer: the start, and all of `target`. */
  readonly read: readonly number[];
  readonly letters: readonly string[];
  readonly phonemes: readonly string[];
  /** Best first: one, but for beam search. */
  readonly hypotheses: readonly Hypothesis[];
  /** In the order in which the decoder answered; with beams there is one for each that was alive. */
  readonly steps: readonly Step[];
}

/** Lets a model pronounce a word, and keeps what it was asked on the way. Throws Complaint for what it cannot read. */
export async function pronounce(
  model: Model,
  word: string,
  decoding: Decoding,
  signal?: AbortSignal,
): Promise<Pronunciation> {
  const source = encodeWord(model, word);
  const steps: Step[] = [];
  const { sequences, logProbabilities, scores, finishReasons } = await model.transformer.generate([source], {
    ...optionsOf(decoding),
    logitsProcessors: [(scores, read) => void steps.push({ read: [...read], logProbabilities: logSoftmax(scores) })],
    signal,
  });
  const hypotheses = sequences.map((tokens, i) => ({
    tokens,
    logProbabilities: logProbabilities[i] as number[],
    score: scores[i] as number,
    ended: finishReasons[i] === 'stop',
  }));
  const target = sequences[0] as number[];
  return {
    ...{ model, word, decoding, source, target, hypotheses, steps },
    read: [(steps[0] as Step).read[0] as number, ...target],
    letters: source.map((id) => tokenName(model.source, id)),
    phonemes: target.map((id) => tokenName(model.target, id)),
  };
}

function optionsOf(decoding: Decoding): GenerateOptions {
  switch (decoding.kind) {
    case 'greedy':
      return {};
    case 'beam': {
      const { beams, lengthPenalty } = decoding;
      return beams === 1 ? {} : { numBeams: beams, numReturnSequences: beams, lengthPenalty };
    }
    case 'sample': {
      const { temperature, topK, topP, seed } = decoding;
      return { doSample: true, temperature, topK, topP, seed };
    }
  }
}

function logSoftmax(scores: Float32Array): Float32Array {
  const most = scores.reduce((a, b) => Math.max(a, b));
  const total = most + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - most), 0));
  return scores.map((score) => score - total);
}
