// Texts as models read them, and what models make of them, off the thread that asks.

import { describeValue } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import { EncoderModel } from '../models/encoder-model.js';
import type { ModelInputs, ModelOutput } from '../models/inputs.js';
import { inference } from '../nn/module.js';
import { packed, TokenBatch } from '../nn/token-batch.js';
import type { LoadedModel } from '../pretrained/load-later.js';
import type { BatchEncoding, EncodeBatchOptions } from '../tokenizers/batch-encoding.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import type { TaskContext } from './task.js';

/** The tokenizer of a task's model. Throws FormatError if its folder brought none. */
export function tokenizerOf({ task, model }: TaskContext): PretrainedTokenizer {
  if (model.tokenizer) return model.tokenizer;
  throw new FormatError(`${task}: the model's folder has no tokenizer, expected tokenizer.json beside config.json`);
}

/** One text or several, as a list. Throws ArgumentError for what is neither. */
export function textsOf(task: string, texts: string | readonly string[], name = 'texts'): readonly string[] {
  const list = typeof texts === 'string' ? [texts] : texts;
  if (Array.isArray(list) && list.every((text) => typeof text === 'string')) return list;
  throw new ArgumentError(`${task}: ${name} is ${describeValue(texts)}, expected a string or an array of strings`);
}

/** Tokens of a sequence that the model reads at most: its own limit, or its tokenizer's if that is lower. */
export function tokenLimit(model: LoadedModel): number {
  const limit = model.tokenizer?.config?.model_max_length;
  return typeof limit === 'number' ? Math.min(limit, model.maxLength) : model.maxLength;
}

/** As `tokenLimit`, or fewer, if a model of sentence-transformers says so. */
export function sentenceLimit(model: LoadedModel): number {
  const most = model instanceof EncoderModel ? model.sentenceHead?.maxTokens : null;
  return Math.min(most ?? Infinity, tokenLimit(model));
}

/** Texts, or pairs, cut to what the model reads, without padding. */
export function encode(
  context: TaskContext,
  texts: readonly string[],
  options: EncodeBatchOptions = {},
): BatchEncoding {
  const limits = { truncation: true, maxLength: tokenLimit(context.model) } as const;
  return tokenizerOf(context).encodeBatch(texts, { ...limits, ...options });
}

/**
 * Runs the model on sequences, packed end to end, and reads what `pick` chooses of its output, in which rows of tokens
 * are [N, …]: those of `batch`. Nothing of it stays on the device.
 */
export async function forward(
  model: LoadedModel,
  { inputIds, tokenTypeIds }: Pick<BatchEncoding, 'inputIds' | 'tokenTypeIds'>,
  pick: (output: ModelOutput, batch: TokenBatch) => readonly [Tensor, ...Tensor[]],
  run = (inputs: ModelInputs): ModelOutput => model.forward(inputs),
): Promise<Float32Array[]> {
  const picked = inference(model, () => {
    const batch = TokenBatch.from(model.device, 'inputIds', packed(inputIds), null);
    const inputs: ModelInputs = hasSegments(model) ? { inputIds: batch, tokenTypeIds } : { inputIds: batch };
    return pick(run(inputs), batch);
  });
  try {
    return (await Tensor.dataOf([...picked])) as Float32Array[];
  } finally {
    for (const tensor of picked) tensor.dispose();
  }
}

/** Whether the model was taught which text of a pair a token is of. */
function hasSegments(model: LoadedModel): boolean {
  return model instanceof EncoderModel && Number(model.config.type_vocab_size ?? 0) > 1;
}
