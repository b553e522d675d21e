// Encodes texts to inputs of a model.

import { checkMethod } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { ModelInputs } from '../models/inputs.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { hasSegments } from '../models/segments.js';
import { packed } from '../nn/token-batch.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';

/** A text, or a pair of texts. */
export interface EncodedText {
  readonly inputIds: readonly number[];
  /** Index of the text in a pair, 0 or 1, for each token; null if the model does not use it. */
  readonly tokenTypeIds: readonly number[] | null;
}

/** Returns the tokenizer of a model. Throws ArgumentError if there is none. */
export function tokenizerOf(op: string, model: PretrainedModel): PretrainedTokenizer {
  checkMethod(op, 'model', model, 'forward', 'the result of loadModel');
  if (model.tokenizer !== null) return model.tokenizer;
  throw new ArgumentError(`${op}: the model has no tokenizer, expected one in its folder`);
}

/** Default maximum number of tokens of an example. */
export const MAX_LENGTH = 512;

/** Returns the maximum number of tokens of an example: `maxLength` or 512, but at most the model's limit. */
export function limitOf(model: PretrainedModel, maxLength: number | undefined): number {
  const { model_max_length: max } = tokenizerOf('fit', model).config ?? {};
  const tokenizerMax = typeof max === 'number' && max < 1e9 ? max : Number.POSITIVE_INFINITY;
  return Math.min(maxLength ?? MAX_LENGTH, tokenizerMax, model.maxLength);
}

/** Encodes a text or a pair with special tokens, truncated to `maxLength` tokens. */
export function encodeText(
  model: PretrainedModel,
  text: string,
  pair: string | undefined,
  maxLength: number,
): EncodedText {
  const tokenizer = tokenizerOf('fit', model);
  const textPair = pair === undefined ? undefined : [pair];
  const { inputIds, tokenTypeIds } = tokenizer.encodeBatch([text], { textPair, truncation: true, maxLength });
  const types = tokenTypeIds[0] as number[];
  return {
    inputIds: inputIds[0] as number[],
    tokenTypeIds: hasSegments(model) && types.some((type) => type !== 0) ? types : null,
  };
}

/** Makes the inputs of `forward` for a batch. Texts are packed end to end, without padding. */
export function inputsOf(texts: readonly EncodedText[]): ModelInputs {
  const inputs: ModelInputs = { inputIds: packed(texts.map(({ inputIds }) => inputIds)) };
  if (texts.every(({ tokenTypeIds }) => tokenTypeIds === null)) return inputs;
  const tokenTypeIds = texts.map((text) => [...(text.tokenTypeIds ?? text.inputIds.map(() => 0))]);
  return { ...inputs, tokenTypeIds };
}

/** Converts a value of a row to a number; text files have numbers as text. Undefined for other values. */
export function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}
