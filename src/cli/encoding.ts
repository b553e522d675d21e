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

/** The ids of a text that people gave. Throws ArgumentError, naming the text, for characters that the model does not know. */
export function encode(tokenizer: Tokenizer, text: string): number[] {
  try {
    return tokenizer.encode(text);
  } catch (error) {
    if (!(error instanceof UnknownTokenError)) throw error;
    // Letters that a model knows in lower case only are no reason to fail.
    if (text.toLowerCase() !== text) return encode(tokenizer, text.toLowerCase());
    throw unknownIn(text, error);
  }
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
  const place = `character ${error.position + 1} of ${JSON.stringify(shorten(text))}`;
  return new ArgumentError(`the model does not know ${token}, ${place}: it was not in what it learnt from`, {
    cause: error,
  });
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
