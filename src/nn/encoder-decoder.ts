import { ArgumentError } from '../core/errors.js';
import type { TransformerLayer } from './layer.js';
import { Module } from './module.js';
import type { Stack } from './stack.js';

/** Reads a source: a `Stack`, or layers in another arrangement, such as stages. */
export interface Encoder extends Module {
  readonly layers: readonly TransformerLayer[];
}

/** The two sides of a model: an encoder reads a source, a decoder a target. */
export interface Stacks {
  readonly encoder: Encoder | null;
  readonly decoder: Stack | null;
}

/** The stacks of a model, as PyTorch's nn.Transformer names them. */
export class EncoderDecoder extends Module implements Stacks {
  constructor(
    readonly encoder: Stack | null,
    readonly decoder: Stack | null,
  ) {
    super();
  }
}

/**
 * Throws ArgumentError unless a model gets exactly the inputs that its stacks read: a source for an encoder, a target
 * for a decoder.
 */
export function checkInputs(op: string, { encoder, decoder }: Stacks, source: unknown, target: unknown): void {
  const isGiven = (tokens: unknown) => tokens !== null && tokens !== undefined;
  if (isGiven(source) === (encoder !== null) && isGiven(target) === (decoder !== null)) return;
  const takes = encoder && decoder ? 'a source and a target' : encoder ? 'a source only' : 'a target only';
  const lacks = encoder ? (decoder ? '' : '; it has no decoder') : '; it has no encoder, so give null as the source';
  throw new ArgumentError(`${op}: this model takes ${takes}${lacks}`);
}
