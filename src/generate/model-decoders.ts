// The decoders that a model keeps between generations. This file imports little, because models that never generate
// load it, too.

import { DisposedError } from '../core/errors.js';
import type { Generative } from './generative.js';

/** The part of a decoder that models know. */
export interface KeptDecoder {
  dispose(): void;
}

/** The decoders of a model. */
interface ModelDecoders {
  /** Decoders that wait for the next batch, the most recently used one last. */
  readonly idle: KeptDecoder[];
  /** Decoders in use, including those of abandoned streams. */
  readonly busy: Set<KeptDecoder>;
  /** Other objects that are disposed of with the model. */
  readonly otherDecoders: Set<{ dispose(): void }>;
  /** Batches that calls join while they overlap, by kind. */
  readonly shared: Map<string, KeptBatch>;
}

/** The part of a shared batch that models know. */
export interface KeptBatch extends KeptDecoder {
  /** Tells the batch that the model has changed. Its sequences continue, but no new ones join. */
  retire(): void;
}

/** Null for a model that was disposed of. */
const registry = new WeakMap<Generative, ModelDecoders | null>();

/** The decoders of a model. Throws DisposedError if the model was disposed of. */
export function decodersOf(model: Generative): ModelDecoders {
  const known = registry.get(model);
  if (known === null) throw new DisposedError('generate: the model was disposed of; load or create it again');
  model.device.assertOpen('generate');
  const decoders = known ?? { idle: [], busy: new Set(), otherDecoders: new Set(), shared: new Map() };
  registry.set(model, decoders);
  return decoders;
}

/** Returns the error for generations whose model was disposed of. */
export function disposedMeanwhile(): DisposedError {
  const toDo = 'await or abort its generations, and leave the loops of its streams, before model.dispose()';
  return new DisposedError(`generate: the model was disposed of meanwhile; ${toDo}`);
}

/**
 * Like `decodersOf`, but returns null for a model that was disposed of, and undefined for one that has never generated.
 */
export function keptOf(model: Generative): ModelDecoders | null | undefined {
  return registry.get(model);
}

/**
 * Registers an object that is disposed of together with the model. Throws DisposedError if the model was disposed of.
 */
export function disposeWith(model: Generative, what: { dispose(): void }): void {
  decodersOf(model).otherDecoders.add(what);
}

/** Undoes `disposeWith`. */
export function forget(model: Generative, what: { dispose(): void }): void {
  registry.get(model)?.otherDecoders.delete(what);
}

/**
 * Disposes of idle decoders, because their recorded steps do not fit the changed model. Running generations continue.
 */
export function forgetDecoders(model: Generative): void {
  const { idle, shared } = registry.get(model) ?? {};
  for (const decoder of idle?.splice(0) ?? []) decoder.dispose();
  const batches = [...(shared?.values() ?? [])];
  shared?.clear();
  for (const batch of batches) batch.retire();
}

/** Disposes of all decoders for good. Running generations fail at their next step. */
export function disposeDecoders(model: Generative): void {
  const { idle, busy, otherDecoders } = registry.get(model) ?? { idle: [], busy: [], otherDecoders: [] };
  registry.set(model, null);
  for (const decoder of [...idle, ...busy, ...otherDecoders]) decoder.dispose();
}
