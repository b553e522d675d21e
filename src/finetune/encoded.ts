// Texts as a model reads them.

import { ArgumentError } from '../core/errors.js';
import type { ModelInputs } from '../models/inputs.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { packed } from '../nn/token-batch.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';

/** A text, or a pair of texts. */
export interface EncodedText {
  readonly inputIds: readonly number[];
  /** The text of a pair, 0 or 1, that each token belongs to; null if the model makes no difference. */
  readonly tokenTypeIds: readonly number[] | null;
}

/** Returns the tokenizer of a model. Throws ArgumentError if there is none. */
export function tokenizerOf(op: string, model: PretrainedModel): PretrainedTokenizer {
  if (model.tokenizer !== null) return model.tokenizer;
  throw new ArgumentError(`${op}: the model has no tokenizer, which its folder should bring`);
}

/** Tokens of an example at most, if neither the options nor the model say how many. */
export const MAX_LENGTH = 512;

/** The most tokens that a model's inputs can have, or fewer. */
export function limitOf(model: PretrainedModel, maxLength: number | undefined): number {
  const { model_max_length: most } = tokenizerOf('fit', model).config ?? {};
  const own = typeof most === 'number' && most < 1e9 ? most : Number.POSITIVE_INFINITY;
  return Math.min(maxLength ?? MAX_LENGTH, own, model.maxLength);
}

/** A text, or a pair, with its special tokens, cut to `maxLength` tokens. */
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
    tokenTypeIds: model.takes('tokenTypeIds') && types.some((type) => type !== 0) ? types : null,
  };
}

/** Texts of a batch as `forward` takes them, packed end to end: nothing is padded. */
export function inputsOf(texts: readonly EncodedText[]): ModelInputs {
  const inputs: ModelInputs = { inputIds: packed(texts.map(({ inputIds }) => inputIds)) };
  if (texts.every(({ tokenTypeIds }) => tokenTypeIds === null)) return inputs;
  const tokenTypeIds = texts.map((text) => [...(text.tokenTypeIds ?? text.inputIds.map(() => 0))]);
  return { ...inputs, tokenTypeIds };
}

/** A number in a row, which text files hold as text. Undefined for other values. */
export function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
}
