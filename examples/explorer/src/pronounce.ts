import type { GenerateOptions } from 'simdformer';
import { logSoftmax } from 'simdformer/ops';
import { encodeWord, type Model, textOf, tokenName } from './model.js';

/** The way in which tokens are chosen. */
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

/** A call of the decoder by beam search: the log-probabilities of the token after those that it read. */
export interface Asked {
  /** Begins with the start token. */
  readonly read: readonly number[];
  readonly logProbabilities: Float32Array;
}

/** A sequence that was written to its end. */
export interface Hypothesis {
  /** Without start and end. */
  readonly tokens: readonly number[];
  /** Log-probabilities of each token, and of the end token if there is one. */
  readonly logProbabilities: readonly number[];
  readonly score: number;
  readonly ended: boolean;
}

/** A model's output for a word. */
export interface Pronunciation {
  readonly model: Model;
  readonly word: string;
  readonly decoding: Decoding;
  /** Tokens that the answer was made to begin with. */
  readonly forced: readonly number[];
  /** Ids of the letters, as the encoder reads them. */
  readonly source: readonly number[];
  /** Ids of the answer, without start and end. */
  readonly target: readonly number[];
  /** Ids that the decoder reads to give the answer: the start, and all of `target` if it came to an end. */
  readonly read: readonly number[];
  readonly letters: readonly string[];
  readonly phonemes: readonly string[];
  /** The answer as text. */
  readonly text: string;
  /** Hypotheses, best first. Only beam search has more than one. */
  readonly hypotheses: readonly Hypothesis[];
  /** For each token of `read`, the log-probabilities of the next token, before temperature, top-k and top-p. */
  readonly steps: readonly Float32Array[];
  /** Calls of beam search in their order; empty for other methods. */
  readonly asked: readonly Asked[];
}

/**
 * Lets a model pronounce a word, and records the probabilities of each step. Throws Complaint for a word that it cannot
 * read.
 */
export async function pronounce(
  model: Model,
  word: string,
  decoding: Decoding,
  forced: readonly number[] = [],
  signal?: AbortSignal,
): Promise<Pronunciation> {
  const source = encodeWord(model, word);
  const asked: Asked[] = [];
  const watch = (scores: Float32Array, read: readonly number[]) =>
    void asked.push({ read: [...read], logProbabilities: scores.slice() });
  const { transformer } = model;
  const { sequences, logProbabilities, scores, finishReasons } = await transformer.generate([source], {
    ...optionsOf(decoding),
    prefix: forced,
    logitsProcessors: decoding.kind === 'beam' ? [watch] : [],
    signal,
  });
  const hypotheses = sequences.map((tokens, i) => ({
    tokens,
    logProbabilities: logProbabilities[i] as number[],
    score: scores[i] as number,
    ended: finishReasons[i] === 'stop',
  }));
  const { tokens: target, logProbabilities: chosen } = hypotheses[0] as Hypothesis;
  const start = transformer.startId as number; // `generate` began with it
  const read = [start, ...target].slice(0, chosen.length);
  return {
    model,
    word,
    decoding,
    forced,
    source,
    target,
    read,
    hypotheses,
    asked,
    letters: source.map((id) => tokenName(model.source, id)),
    phonemes: target.map((id) => tokenName(model.target, id)),
    text: textOf(model, target),
    steps: await nextTokens(model, source, read),
  };
}

/** Returns the log-probabilities of the next token for each token that the decoder reads, in one pass. */
async function nextTokens(
  { transformer }: Model,
  source: readonly number[],
  read: readonly number[],
): Promise<Float32Array[]> {
  const { device, config } = transformer;
  const { reading } = device.noGrad(() =>
    device.scope(() => ({
      reading: logSoftmax(transformer.forward([source], [read])).data() as Promise<Float32Array>,
    })),
  );
  const all = await reading;
  return read.map((_, i) => all.slice(i * config.targetVocab, (i + 1) * config.targetVocab));
}

function optionsOf(decoding: Decoding): GenerateOptions {
  switch (decoding.kind) {
    case 'greedy':
      return {};
    case 'beam': {
      const { beams, lengthPenalty } = decoding;
      return { numBeams: beams, numReturnSequences: beams, lengthPenalty };
    }
    case 'sample': {
      const { temperature, topK, topP, seed } = decoding;
      return { doSample: true, temperature, topK, topP, seed };
    }
  }
}
