// Prompts in pieces, so that activations take little memory and the event loop gets its turn.

import type { Generative } from './generative.js';

/** Maximum number of tokens that are read at once, but for a piece that cannot be cut. */
export const CHUNK = 512;

/** Starts of the pieces of a prompt, from `start` on. The last token is in the last piece. */
export function pieceStarts(model: Generative, prompt: readonly number[], start = 0): number[] {
  const starts = [start];
  for (let at = start; prompt.length - at > CHUNK; ) {
    at = model.cut?.(prompt, at + CHUNK, 'after') ?? at + CHUNK;
    if (at >= prompt.length) break;
    starts.push(at);
  }
  return starts;
}

/** The most tokens, up to `length`, that a prompt can share with a text that was read. */
export function sharable(model: Generative, prompt: readonly number[], length: number): number {
  return model.cut?.(prompt, length, 'before') ?? length;
}
