// What has to fit together when a Transformer decodes step by step; nn/kv-cache.ts says how that goes.

import { checkKnown, checkNumber, describeValue, isCount } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { CacheSizes, DecoderState, Memory } from '../nn/kv-cache.js';
import { TokenBatch } from '../nn/token-batch.js';
import type { TransformerConfig } from './config.js';

/** Options of `startDecoding`. */
export interface DecodingOptions {
  /** What `encode` returned. For models with an encoder. */
  memory?: Memory | undefined;
  /** How many sequences to decode side by side. For decoder-only models; otherwise the memory decides. Default 1. */
  sequences?: number | undefined;
  /** Sequences for each source, for beam search. Default 1. */
  beams?: number | undefined;
  /** Tokens that a sequence can have. Default: the model's maxLength. */
  maxLength?: number | undefined;
  /**
   * Tokens that a source can have, where the state is to serve others after this one. Default: the memory's longest.
   */
  sourceLength?: number | undefined;
}

const NAMES = ['memory', 'sequences', 'beams', 'maxLength', 'sourceLength'] as const;

/** The sizes of a state for `options`. */
export function cacheSizes(config: TransformerConfig, options: DecodingOptions): CacheSizes {
  const { dModel, heads, kvHeads, decoderLayers: layers, maxLength } = config;
  const {
    memory,
    sequences = 1,
    beams = 1,
    maxLength: capacity = maxLength,
  } = checkKnown('startDecoding', options, NAMES);
  const { size: sources = sequences, longest = 1 }: Partial<TokenBatch> = memory?.batch ?? {};
  const { sourceLength = longest } = options;
  if (layers === 0) throw new ArgumentError('startDecoding: the model has no decoder');
  for (const [name, value] of Object.entries({ sequences: sources, beams, maxLength: capacity, sourceLength })) {
    checkNumber('startDecoding', name, value, isCount, 'a positive integer');
  }
  if (capacity > maxLength) {
    throw new ArgumentError(`startDecoding: maxLength is ${capacity}, but the model's maxLength is ${maxLength}`);
  }
  const sourceCapacity = memory ? sourceLength : 0;
  checkMemory('startDecoding', config, { sources, sourceCapacity }, memory);
  return { model: config, layers, width: (2 * kvHeads * dModel) / heads, sources, beams, capacity, sourceCapacity };
}

/** Throws unless the state is one of this model. */
export function checkState(op: string, config: TransformerConfig, state: DecoderState): void {
  checkOrigin(`${op}: state`, state, state?.sizes?.model === config, "this model's startDecoding()");
}

function checkOrigin(name: string, value: unknown, isFromThere: boolean, origin: string): void {
  if (!isFromThere) throw new ArgumentError(`${name} is ${describeValue(value)}, expected what ${origin} returned`);
}

/** Throws unless the memory is one for this model and fits into a state of these sizes. */
export function checkMemory(
  op: string,
  { encoderLayers }: TransformerConfig,
  { sources, sourceCapacity }: Pick<CacheSizes, 'sources' | 'sourceCapacity'>,
  memory: Memory | undefined,
): void {
  checkOrigin(`${op}: memory`, memory, memory === undefined || memory?.batch instanceof TokenBatch, 'encode()');
  if (encoderLayers > 0 !== (memory !== undefined)) {
    const problem = memory ? 'is given to a model without an encoder' : 'is missing';
    throw new ArgumentError(`${op}: memory ${problem}`);
  }
  if (memory === undefined) return;
  const { size, longest } = memory.batch;
  if (size !== sources || longest > sourceCapacity) {
    const has = `${sources} sources of at most ${sourceCapacity} tokens`;
    throw new ShapeError(`${op}: the state is for ${has}, the memory has ${size} of up to ${longest}`);
  }
}

/** Throws unless the state can read these prompts at once. */
export function checkPrompts({ encoderLayers }: TransformerConfig, state: DecoderState, prompts: TokenBatch): void {
  if (encoderLayers > 0)
    throw new ArgumentError('prefill: the model has an encoder: give it one target token at a time, by step()');
  const { capacity } = state.sizes;
  if (prompts.size !== state.sequences || prompts.longest > capacity) {
    const has = `${state.sequences} sequences of at most ${capacity} tokens`;
    throw new ShapeError(`prefill: the state is for ${has}, got ${prompts.size} prompts of up to ${prompts.longest}`);
  }
}
