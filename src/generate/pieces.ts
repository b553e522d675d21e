// Splits prompts into pieces, so that activations take little memory and the event loop can run in between.

import type { Generative } from './generative.js';

/** Maximum number of tokens of a piece. A piece that cannot be split may be longer. */
export const CHUNK = 512;

/** Returns the start of each piece of a prompt, beginning with `start`. */
export function pieceStarts(model: Generative, prompt: readonly number[], start = 0): number[] {
  const starts = [start];
  for (let at = start; prompt.length - at > CHUNK; ) {
    at = model.cut?.(prompt, at + CHUNK, 'after') ?? at + CHUNK;
    if (at >= prompt.length) break;
    starts.push(at);
  }
  return starts;
}

/** Returns the greatest number of tokens, at most `length`, that a prompt can share with a text that was read. */
export function sharable(model: Generative, prompt: readonly number[], length: number): number {
  return model.cut?.(prompt, length, 'before') ?? length;
}
