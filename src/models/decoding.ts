// Checks that the parts of step-by-step decoding fit together; see nn/decoder-state.ts.

import { checkKnown, checkNumber, checkOneOf, checkOptions, describeValue, isCount, isWhole } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { DecodingOptions, ExtendOptions } from '../generate/generative.js';
import type { CacheSizes, DecoderState, Memory } from '../nn/decoder-state.js';
import type { Encoder } from '../nn/encoder-decoder.js';
import type { ExtendedSequence } from '../nn/extension.js';
import type { PositionShifts } from '../nn/position-shifts.js';
import { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import type { TokenBatch } from '../nn/token-batch.js';
import { CACHE_TYPES, type CacheType } from '../ops/kv-cache.js';

/** Properties of a model that determine its states. */
interface Decodes {
  readonly encoder: Encoder | null;
  readonly decoder: Stack | null;
  readonly maxLength: number;
  readonly cacheType: CacheType;
  readonly positionShifts: typeof PositionShifts | null;
}

const NAMES = ['cacheType', 'memory', 'sequences', 'beams', 'maxLength', 'textLength', 'sourceLength'] as const;

/** Sizes of a state for `options`. */
export function cacheSizes(model: Decodes, options: DecodingOptions): CacheSizes {
  const { decoder, maxLength } = model;
  const {
    memory,
    sequences = 1,
    beams = 1,
    maxLength: capacity = maxLength,
    cacheType = model.cacheType,
  } = checkKnown('startDecoding', options, NAMES);
  const { size: sources = sequences, longest = 1 }: Partial<Sequences> = memory?.batch ?? {};
  const { sourceLength = longest, textLength = capacity } = options;
  if (decoder === null) throw new ArgumentError('startDecoding: the model has no decoder');
  for (const [name, value] of Object.entries({
    sequences: sources,
    beams,
    maxLength: capacity,
    textLength,
    sourceLength,
  })) {
    checkNumber('startDecoding', name, value, isCount, 'a positive integer');
  }
  checkOneOf('startDecoding', 'cacheType', cacheType, CACHE_TYPES);
  if (capacity > maxLength) {
    throw new ArgumentError(`startDecoding: maxLength is ${capacity}, but the model's maxLength is ${maxLength}`);
  }
  const sourceCapacity = memory ? sourceLength : 0;
  checkMemory('startDecoding', model, { sources, sourceCapacity }, memory);
  const sizes = { sources, beams, capacity, textLength, sourceCapacity };
  return { model, cacheType, caches: decoder.cacheSpecs(cacheType), shifts: model.positionShifts, ...sizes };
}

/** Throws unless the state belongs to this model. */
export function checkState(op: string, model: Decodes, state: DecoderState): void {
  checkOrigin(`${op}: state`, state, state?.sizes?.model === model, "this model's startDecoding()");
}

function checkOrigin(name: string, value: unknown, isFromThere: boolean, origin: string): void {
  if (!isFromThere) throw new ArgumentError(`${name} is ${describeValue(value)}, expected what ${origin} returned`);
}

/** Throws unless the memory belongs to this model and fits into a state of these sizes. */
export function checkMemory(
  op: string,
  { encoder }: Decodes,
  { sources, sourceCapacity }: Pick<CacheSizes, 'sources' | 'sourceCapacity'>,
  memory: Memory | undefined,
): void {
  checkOrigin(`${op}: memory`, memory, memory === undefined || memory?.batch instanceof Sequences, 'encode()');
  if ((encoder !== null) !== (memory !== undefined)) {
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
export function checkPrompts({ encoder }: Decodes, state: DecoderState, prompts: TokenBatch): void {
  if (encoder !== null)
    throw new ArgumentError('prefill: the model has an encoder: give it one target token at a time, by step()');
  const { capacity } = state.sizes;
  if (prompts.size !== state.sequences || prompts.longest > capacity) {
    const has = `${state.sequences} sequences of at most ${capacity} tokens`;
    throw new ShapeError(`prefill: the state is for ${has}, got ${prompts.size} prompts of up to ${prompts.longest}`);
  }
}

/** Positions and sequences for new `tokens`. Throws unless the state has the sequences and room for the tokens. */
export function checkExtension(
  { encoder }: Decodes,
  state: DecoderState,
  tokens: TokenBatch,
  options: ExtendOptions,
): { parts: readonly ExtendedSequence[] } & Pick<ExtendOptions, 'onFeatures' | 'promptLength'> & {
    readonly logits: 'last' | 'every' | 'none';
  } {
  const kinds = {
    sequences: 'integers',
    starts: 'integers',
    onFeatures: 'function',
    promptLength: 'count',
    logits: ['last', 'every', 'none'],
  } as const;
  const { counts, size } = tokens;
  const { logits = 'last', onFeatures, promptLength, ...sequenceOptions } = checkOptions('extend', options, kinds);
  if (encoder !== null)
    throw new ArgumentError('extend: the model has an encoder: give it one target token at a time, by step()');
  const { sequences = counts.map((_, i) => i), starts = counts.map(() => 0) } = sequenceOptions;
  for (const [name, { length }] of Object.entries({ sequences, starts }))
    if (length !== size) throw new ArgumentError(`extend: ${name} has ${length} entries, but there are ${size} rows`);
  if (new Set(sequences).size < size) throw new ArgumentError(`extend: a sequence is twice among ${sequences.join()}`);
  const { capacity } = state.sizes;
  const isHere = (sequence: number) => isWhole(sequence) && sequence < state.sequences;
  const parts = counts.map((count, i) => {
    const [sequence, start] = [sequences[i] as number, starts[i] as number];
    checkNumber('extend', `sequences[${i}]`, sequence, isHere, `0 to ${state.sequences - 1}`);
    checkNumber('extend', `starts[${i}]`, start, isWhole, 'an integer, 0 or more');
    if (start + count <= capacity) return { sequence, start, count };
    const has = `a sequence has room for ${capacity} tokens`;
    throw new ShapeError(`extend: ${has}, got ${count} tokens after ${start} for sequence ${sequence}`);
  });
  const longest = parts.reduce((max, { start, count }) => Math.max(max, start + count), 0);
  const isLength = (n: number) => isWhole(n) && n >= longest;
  if (promptLength !== undefined)
    checkNumber('extend', 'promptLength', promptLength, isLength, `at least ${longest}, the end of the longest row`);
  return { parts, logits, onFeatures, promptLength };
}
