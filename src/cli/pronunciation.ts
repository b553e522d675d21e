// The task `simdformer train pronunciation`: words, their pronunciations, and error rates.

import type { Device } from '../core/device.js';
import { ArgumentError, NonFiniteError } from '../core/errors.js';
import { Random } from '../core/random.js';
import type { Transformer } from '../models/families/transformer.js';
import { CharTokenizer } from '../tokenizers/char.js';
import { WordTokenizer } from '../tokenizers/word.js';
import { lengthBatches } from '../train/batches.js';
import type { TaskConfig } from './config.js';
import { type Pair, readDictionary, readPairs, words } from './data.js';
import { encode, encodeData, encodeInput, tokenizersOf } from './encoding.js';
import { initialModel } from './initial-model.js';
import { errorRates } from './metrics.js';
import {
  checkLength,
  checkSource,
  codesOf,
  newModel,
  type PreparedTask,
  SPECIAL,
  specialIds,
  withHeldOut,
  withoutValidation,
} from './prepared-task.js';

/** Reads pairs of texts, one per line, and makes a model of letters and words. */
export async function preparePronunciation(device: Device, config: TaskConfig, ranks: number): Promise<PreparedTask> {
  const { data, seed = 0, validation = 0, batch = 4096 } = config;
  const initial = await initialModel(device, config);
  const pairs = data === undefined ? await readDictionary() : await readPairs(data, { lowerCase: true });
  if (validation >= pairs.length) {
    throw new ArgumentError(
      `validation holds out ${validation} pairs, but there are ${pairs.length}: give more data, or a lower validation in a JSON file`,
    );
  }
  new Random(seed, 1).shuffle(pairs);
  const model = initial ?? pairModel(device, config, pairs);
  const { source, target } = tokenizersOf(model);
  const examples = pairs.slice(validation).flatMap((pair) =>
    pair.targets.map((text) => {
      const example = {
        source: encodeData(source, pair.source),
        target: encodeData(target, text, { addSpecial: true }),
      };
      checkLength(pair.source, example, model.config.maxLength, batch);
      return example;
    }),
  );
  const heldOut = pairs.slice(0, validation);
  for (const pair of heldOut) checkSource(pair.source, encode(source, pair.source).length, model.config.maxLength);
  const validate = async () => {
    const { wordError, tokenError } = await evaluatePairs(model, heldOut).catch(unmeasured);
    return { wordError, tokenError };
  };
  const batches = lengthBatches(examples, { tokens: batch, seed });
  const task = withoutValidation(config, ranks, model, withHeldOut(batches, codesOf(heldOut)));
  return validation > 0 ? { ...task, validate } : task;
}

/** Returns NaN metrics for a model that has diverged, so that no token is the most probable. */
function unmeasured(error: unknown): { wordError: number; tokenError: number } {
  if (error instanceof NonFiniteError) return { wordError: Number.NaN, tokenError: Number.NaN };
  throw error;
}

/** A new model with the letters and words of all pairs. */
function pairModel(device: Device, config: TaskConfig, pairs: readonly Pair[]): Transformer {
  const source = CharTokenizer.train(
    pairs.map((pair) => pair.source),
    { special: SPECIAL },
  );
  const target = WordTokenizer.train(
    pairs.flatMap((pair) => pair.targets),
    { special: SPECIAL, split: 'whitespace' },
  );
  const vocabularies = { sourceVocab: source.vocabSize, targetVocab: target.vocabSize };
  return newModel(device, config, { ...vocabularies, ...specialIds(target) }, { source, target });
}

/** Number of pairs that are decoded side by side. */
const EVALUATION_BATCH = 256;

/** Error rates of a model on pairs, greedily or by beam search. */
export async function evaluatePairs(model: Transformer, pairs: readonly Pair[], { beams = 1 } = {}) {
  const { target } = tokenizersOf(model);
  const inputs = pairs.map(({ source }) => encodeInput(model, source));
  const outputs: string[][] = [];
  // Sequences of similar length end together.
  const order = pairs
    .map((_, i) => i)
    .sort((a, b) => (pairs[a] as Pair).source.length - (pairs[b] as Pair).source.length);
  for (let start = 0; start < order.length; start += EVALUATION_BATCH) {
    const part = order.slice(start, start + EVALUATION_BATCH);
    const sources = part.map((i) => inputs[i] as number[]);
    const { sequences } = await model.generate(sources, { numBeams: beams });
    part.forEach((i, n) => {
      outputs[i] = words(target.decode(sequences[n] as number[]));
    });
  }
  return {
    ...errorRates(
      outputs,
      pairs.map(({ targets }) => targets.map(words)),
    ),
    outputs,
  };
}
