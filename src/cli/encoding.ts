// Converts text to ids with a model's tokenizers, with error messages for users.

import { ArgumentError } from '../core/errors.js';
import type { Transformer } from '../models/families/transformer.js';
import { type Tokenizer, UnknownTokenError } from '../tokenizers/tokenizer.js';

/**
 * Returns the tokenizers that a model was saved with. A single one is used for both sides. Throws ArgumentError if one
 * is missing or does not fit the model.
 */
export function tokenizersOf(model: Transformer): { source: Tokenizer; target: Tokenizer } {
  const problem = tokenizerProblem(model);
  if (problem !== undefined) throw new ArgumentError(`the model ${problem}`);
  return sidesOf(model) as { source: Tokenizer; target: Tokenizer };
}

/** Problem with a model's tokenizers, such as "was saved without its tokenizer"; undefined if there is none. */
export function tokenizerProblem(model: Transformer): string | undefined {
  const { encoderLayers, decoderLayers, sourceVocab, targetVocab } = model.config;
  const { source, target } = sidesOf(model);
  if (source === undefined || target === undefined) return 'was saved without its tokenizer';
  const sides = [
    { side: 'source', layers: encoderLayers, size: sourceVocab, used: source },
    { side: 'target', layers: decoderLayers, size: targetVocab, used: target },
  ] as const;
  const mismatched = sides.find(({ layers, size, used }) => layers > 0 && !hasVocabulary(used, size));
  if (mismatched === undefined) return undefined;
  const { side, size, used } = mismatched;
  const isOther = encoderLayers > 0 && decoderLayers > 0 && model.tokenizers[side] === undefined;
  if (isOther) return `was saved without its ${side} tokenizer`;
  return `has ${size} ${side} tokens, but its ${side} tokenizer ${used.vocabSize}: that is another model's`;
}

/** The tokenizers of input and output. A decoder-only model reads tokens of the target. */
function sidesOf({ config, tokenizers: { source, target } }: Transformer): Transformer['tokenizers'] {
  const ofOutput = target ?? source;
  return { source: config.encoderLayers > 0 ? (source ?? target) : ofOutput, target: ofOutput };
}

/** True if the vocabulary fits the model. The model's may be larger, because sizes are rounded up for speed. */
function hasVocabulary({ vocabSize }: Tokenizer, size: number): boolean {
  return vocabSize === size || (vocabSize < size && size % 64 === 0);
}

/**
 * Encodes a user's text. Unknown capital letters are read as lower case. Throws ArgumentError, quoting the text, for
 * other unknown characters.
 */
export function encode(tokenizer: Tokenizer, text: string): number[] {
  const lower = text.toLowerCase();
  try {
    return tokenizer.encode(text);
  } catch (error) {
    if (!(error instanceof UnknownTokenError)) throw error;
    if (lower === text) throw unknownIn(text, error);
    try {
      return tokenizer.encode(lower);
    } catch (second) {
      // The later error is more informative.
      const further = second instanceof UnknownTokenError && (second.position ?? 0) > (error.position ?? 0);
      throw further ? unknownIn(lower, second) : unknownIn(text, error);
    }
  }
}

/**
 * Encodes a text that a model reads. Throws ArgumentError, with `name` for the text, if it is too long for the encoder.
 * An empty text is an error if the model needs input.
 */
export function encodeInput(model: Transformer, text: string, name = 'the text'): number[] {
  const { source, target } = tokenizersOf(model);
  const { encoderLayers, maxLength } = model.config;
  const ids = encode(source, text);
  if (ids.length === 0 && (encoderLayers > 0 || target.bosId === undefined)) {
    throw new ArgumentError(`${name} is empty, expected a text: the model cannot begin without one`);
  }
  if (encoderLayers > 0 && ids.length > maxLength) {
    throw new ArgumentError(
      `${quoted(text)} has ${ids.length} tokens, but the model's maxLength is ${maxLength}: shorten it`,
    );
  }
  return ids;
}

/** Encodes a text of the training data, unchanged. Throws as `encode`. */
export function encodeData(tokenizer: Tokenizer, text: string, options?: { addSpecial?: boolean }): number[] {
  try {
    return tokenizer.encode(text, options);
  } catch (error) {
    throw error instanceof UnknownTokenError ? unknownIn(text, error) : error;
  }
}

function unknownIn(text: string, error: UnknownTokenError): ArgumentError {
  const token = JSON.stringify(error.token);
  const location = error.position === undefined ? ' in' : `, character ${error.position + 1} of`;
  return new ArgumentError(
    `the model does not know ${token}${location} ${quoted(text)}: its training data did not contain it`,
    {
      cause: error,
    },
  );
}

/** The beginning of a text, for error messages. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 39)}…` : text);
}
