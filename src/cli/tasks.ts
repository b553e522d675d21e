// What `simdformer train` can train: data, tokenizers, a model's options and how to fit it, with a measure of success.

import type { Device } from '../core/device.js';
import { ArgumentError, NonFiniteError } from '../core/errors.js';
import { Random } from '../core/random.js';
import type { Transformer } from '../models/transformer.js';
import { CharTokenizer } from '../tokenizers/char.js';
import { WordTokenizer } from '../tokenizers/word.js';
import { lengthBatches, windowBatches } from '../train/batches.js';
import type { TaskConfig } from './config.js';
import { type Pair, readDictionary, readPairs, readText, words } from './data.js';
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
import { prepareTranslation } from './translation.js';

const PREPARE = { pronunciation: preparePairs, translation: prepareTranslation, characters: prepareText };

/** Reads the data of a task and makes its model; `ranks` processes train it together. */
export async function prepareTask(device: Device, config: TaskConfig, ranks = 1): Promise<PreparedTask> {
  const task = await PREPARE[config.task](device, config, ranks);
  const needs = (['averageLast', 'earlyStopping'] as const).find((name) => config[name] !== undefined);
  if (task.validate !== undefined || needs === undefined) return task;
  throw new ArgumentError(
    `${needs} needs validations, but nothing is held out: raise validation, or leave ${needs} out`,
  );
}

async function preparePairs(device: Device, config: TaskConfig, ranks: number): Promise<PreparedTask> {
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

/** What is measured of a model that has diverged, so that no token is its most probable: as of its loss, no number. */
function unmeasured(error: unknown): { wordError: number; tokenError: number } {
  if (error instanceof NonFiniteError) return { wordError: Number.NaN, tokenError: Number.NaN };
  throw error;
}

/** A new model, for the letters and words of all pairs. */
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

/** Pairs whose outputs are written side by side. */
const EVALUATED_TOGETHER = 256;

/** Error rates of a model on pairs, greedily or by beam search. */
export async function evaluatePairs(model: Transformer, pairs: readonly Pair[], { beams = 1 } = {}) {
  const { target } = tokenizersOf(model);
  const inputs = pairs.map(({ source }) => encodeInput(model, source));
  const outputs: string[][] = [];
  // Sequences of like length end together.
  const order = pairs
    .map((_, i) => i)
    .sort((a, b) => (pairs[a] as Pair).source.length - (pairs[b] as Pair).source.length);
  for (let at = 0; at < order.length; at += EVALUATED_TOGETHER) {
    const part = order.slice(at, at + EVALUATED_TOGETHER);
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

async function prepareText(device: Device, config: TaskConfig, ranks: number): Promise<PreparedTask> {
  const { data, seed = 0, validation = 0, batch = 12, ignoreIndex } = config;
  const initial = await initialModel(device, config);
  if (data === undefined) throw new ArgumentError('the task reads a text: give the file with --data');
  const text = await readText(data);
  if (text === '') throw new ArgumentError(`${data} is empty: there is nothing to learn`);
  const model = initial ?? textModel(device, config, text);
  const ids = Int32Array.from(encodeData(tokenizersOf(model).target, text));
  const cut = Math.floor(ids.length * (1 - validation));
  const blockSize = model.config.maxLength;
  if (cut <= blockSize) {
    throw new ArgumentError(
      `${data} is too short: ${cut} tokens to learn from, expected more than maxLength, ${blockSize}`,
    );
  }
  const train = windowBatches(ids.subarray(0, cut), { blockSize, batchSize: batch, seed });
  const heldOut = ids.subarray(cut);
  const task = withoutValidation(config, ranks, model, withHeldOut(train, heldOut));
  if (heldOut.length < 2) return task;
  // On the way a sample is enough, so that measuring does not take as long as learning; the last validation takes all.
  const validate = async (step: number) => ({
    loss: await textLoss(model, heldOut, { sample: step < task.steps ? VALIDATION_WINDOWS : undefined, ignoreIndex }),
  });
  return { ...task, validate };
}

/** A new model, for the characters of the text. */
function textModel(device: Device, config: TaskConfig, text: string): Transformer {
  const target = CharTokenizer.train(text);
  return newModel(device, config, { targetVocab: target.vocabSize, ...specialIds(target) }, { target });
}

/** As many as nanoGPT's configuration for CPUs takes: 20 batches of 12. */
const VALIDATION_WINDOWS = 240;

/**
 * Mean loss per token over a text, cut into windows of the model's maxLength that do not overlap; or over `sample` of
 * them, evenly spread. Tokens that are `ignoreIndex` do not count.
 */
export async function textLoss(
  model: Transformer,
  ids: Int32Array,
  { sample, ignoreIndex }: { sample?: number | undefined; ignoreIndex?: number | null | undefined } = {},
): Promise<number> {
  const { maxLength } = model.config;
  const all = Math.ceil((ids.length - 1) / maxLength);
  const taken = Math.min(all, sample ?? all);
  const windows = Array.from({ length: taken }, (_, i) => {
    const start = Math.floor((i * all) / taken) * maxLength;
    return Array.from(ids.subarray(start, start + maxLength + 1));
  });
  let sum = 0;
  let count = 0;
  for (let at = 0; at < windows.length; at += LOSS_BATCH) {
    const part = windows.slice(at, at + LOSS_BATCH);
    const labels = model.countLabels(null, part, { ignoreIndex });
    if (labels === 0) continue; // the mean is NaN then
    const loss = model.device.noGrad(() => model.loss(null, part, { ignoreIndex }));
    sum += labels * (await loss.item());
    count += labels;
    loss.dispose();
  }
  return sum / count;
}

/** Windows whose loss is measured at once. */
const LOSS_BATCH = 64;
