// The task `simdformer train characters`: training on a part of a text, and the loss on the rest.

import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { Transformer } from '../models/families/transformer.js';
import { CharTokenizer } from '../tokenizers/char.js';
import { windowBatches } from '../train/batches.js';
import type { TaskConfig } from './config.js';
import { readText } from './data.js';
import { encodeData, tokenizersOf } from './encoding.js';
import { initialModel } from './initial-model.js';
import { meanLoss } from './mean-loss.js';
import { newModel, type PreparedTask, specialIds, withHeldOut, withoutValidation } from './prepared-task.js';

/** Reads a text and makes a model of its characters. */
export async function prepareCharacters(device: Device, config: TaskConfig, ranks: number): Promise<PreparedTask> {
  const { data, seed = 0, validation = 0, batch = 12, ignoreIndex } = config;
  const initial = await initialModel(device, config);
  if (data === undefined) throw new ArgumentError('the task needs a text: give its file with --data');
  const text = await readText(data);
  if (text === '') throw new ArgumentError(`${data} is empty, expected a text to learn`);
  const model = initial ?? textModel(device, config, text);
  const ids = Int32Array.from(encodeData(tokenizersOf(model).target, text));
  const split = Math.floor(ids.length * (1 - validation));
  const blockSize = model.config.maxLength;
  if (split <= blockSize) {
    throw new ArgumentError(
      `${data} is too short: ${split} tokens to learn from, expected more than maxLength, ${blockSize}`,
    );
  }
  const train = windowBatches(ids.subarray(0, split), { blockSize, batchSize: batch, seed });
  const heldOut = ids.subarray(split);
  const task = withoutValidation(config, ranks, model, withHeldOut(train, heldOut));
  if (heldOut.length < 2) return task;
  // Validations during training use a sample to save time. The last validation uses all data.
  const validate = async (step: number) => ({
    loss: await textLoss(model, heldOut, { sample: step < task.steps ? VALIDATION_WINDOWS : undefined, ignoreIndex }),
  });
  return { ...task, validate };
}

/** A new model with the characters of the text. */
function textModel(device: Device, config: TaskConfig, text: string): Transformer {
  const target = CharTokenizer.train(text);
  return newModel(device, config, { targetVocab: target.vocabSize, ...specialIds(target) }, { target });
}

/** Windows per validation, as in nanoGPT's configuration for CPUs: 20 batches of 12. */
const VALIDATION_WINDOWS = 240;

/**
 * Mean loss per token over a text, cut into windows of the model's maxLength without overlap. `sample` limits the
 * number of windows, which are evenly spaced. Tokens equal to `ignoreIndex` do not count.
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
  return meanLoss(model, null, windows, { batchSize: LOSS_BATCH, ignoreIndex });
}

/** Number of windows per forward pass. */
const LOSS_BATCH = 64;
