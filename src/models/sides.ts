import { ArgumentError } from '../core/errors.js';
import type { Stacks } from '../nn/stacks.js';

/** @internal Throws unless a model gets what its stacks read: a source for an encoder, a target for a decoder. */
export function checkSides(op: string, { encoder, decoder }: Stacks, source: unknown, target: unknown): void {
  const isGiven = (tokens: unknown) => tokens !== null && tokens !== undefined;
  if (isGiven(source) === (encoder !== null) && isGiven(target) === (decoder !== null)) return;
  const takes = encoder && decoder ? 'a source and a target' : encoder ? 'a source only' : 'a target only';
  const lacks = encoder ? (decoder ? '' : '; it has no decoder') : '; it has no encoder, so give null as the source';
  throw new ArgumentError(`${op}: this model takes ${takes}${lacks}`);
}
