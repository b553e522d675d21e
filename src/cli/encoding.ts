// Text to ids and back by a model's tokenizers, with errors for people.

import { ArgumentError } from '../core/errors.js';
import type { Transformer } from '../models/transformer.js';
import { type Tokenizer, UnknownTokenError } from '../tokenizers/tokenizer.js';

/** The tokenizers that a model was saved with. */
export function tokenizersOf(model: Transformer): { source: Tokenizer; target: Tokenizer } {
  const { source, target } = model.tokenizers;
  const output = target ?? source;
  const input = source ?? target;
  if (input === undefined || output === undefined) throw new ArgumentError('the model was saved without its tokenizer');
  return { source: input, target: output };
}

/**
 * The ids of a text that people gave; capital letters that the model does not know are read as small ones. Throws
 * ArgumentError, naming the text, for other characters that it does not know.
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
      // What stops it later says more.
      const further = second instanceof UnknownTokenError && (second.position ?? 0) > (error.position ?? 0);
      throw further ? unknownIn(lower, second) : unknownIn(text, error);
    }
  }
}

/**
 * `encode` of a text that a model shall read. Throws ArgumentError, calling it `name`, if it is empty but the model needs
 * something to read, and if it is longer than its encoder can hold.
 */
export function encodeInput(model: Transformer, text: string, name = 'the text'): number[] {
  const { source, target } = tokenizersOf(model);
  const { encoderLayers, maxLength } = model.config;
  const ids = encode(source, text);
  if (ids.length === 0 && (encoderLayers > 0 || target.bosId === undefined)) {
    throw new ArgumentError(`${name} is empty: the model needs something to begin from`);
  }
  if (encoderLayers > 0 && ids.length > maxLength) {
    throw new ArgumentError(
      `${JSON.stringify(shorten(text))} has ${ids.length} tokens, but the model's maxLength is ${maxLength}: shorten it`,
    );
  }
  return ids;
}

/** The ids of a text to learn from, as it stands there. Throws as `encode` does. */
export function encodeData(tokenizer: Tokenizer, text: string, options?: { addSpecial?: boolean }): number[] {
  try {
    return tokenizer.encode(text, options);
  } catch (error) {
    throw error instanceof UnknownTokenError ? unknownIn(text, error) : error;
  }
}

function unknownIn(text: string, error: UnknownTokenError): ArgumentError {
  const token = JSON.stringify(error.token);
  const place = error.position === undefined ? ' in' : `, character ${error.position + 1} of`;
  return new ArgumentError(
    `the model does not know ${token}${place} ${JSON.stringify(shorten(text))}: it was not in what it learnt from`,
    {
      cause: error,
    },
  );
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
