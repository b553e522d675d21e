// Splits prompts into pieces, so that activations take little memory and the event loop can run in between.

import type { Generative } from './generative.js';

/** Maximum number of tokens of a piece. A piece that cannot be split may be longer. */
export const CHUNK = 512;

/** Returns the start of each piece of a prompt, beginning with `start`. */
export function pieceStarts(model: Generative, prompt: readonly number[], start = 0): number[] {
  const starts = [start];
  for (let position = start; prompt.length - position > CHUNK; ) {
    position = model.splitPoint?.(prompt, position + CHUNK, 'after') ?? position + CHUNK;
    if (position >= prompt.length) break;
    starts.push(position);
  }
  return starts;
}

/**
 * Returns the greatest number of tokens, at most `length`, that a prompt can share with a text. The text begins with a
 * prompt of `promptLength` tokens, and its other tokens were generated. If the prompts rotate alike, so do the tokens
 * that were generated between their lengths.
 */
export function sharable(model: Generative, prompt: readonly number[], length: number, promptLength: number): number {
  if (model.rotaryKey?.(promptLength) !== model.rotaryKey?.(prompt.length)) return 0;
  return model.splitPoint?.(prompt, length, 'before') ?? length;
}
