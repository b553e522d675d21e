import type { Device } from '../core/device.js';
import { orDispose } from '../core/or-dispose.js';
import type { Program } from '../core/program.js';
import { atOnce, begun } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import type { DecoderState, Memory } from '../nn/decoder-state.js';
import { inference } from '../nn/module.js';
import { packed, TokenBatch, type Tokens } from '../nn/token-batch.js';
import { type CacheType, maxCacheRows } from '../ops/kv-cache.js';
import {
  encodeAsync,
  encodeInParts,
  extendAsync,
  prefillAsync,
  prepareAsync,
  type RecordedStep,
  recordStep,
} from './async-passes.js';
import type { Generative } from './generative.js';
import { decodersOf, disposedMeanwhile, keptOf } from './model-decoders.js';
import { Pace } from './pace.js';
import { pieceStarts } from './pieces.js';
import type { Plan, Source } from './plan.js';
import { longest } from './prompts.js';
import { Ranker, type Ranking, rankedCountOf } from './ranking.js';

/** Maximum number of idle decoders of a model. */
const MAX_IDLE = 4;

/**
 * Maximum ratio of a reused decoder's units to the units that a batch needs. The encoder reads one token for each
 * unused unit.
 */
const MAX_UNUSED_RATIO = 8;

/**
 * Maximum number of source tokens in a batch for which the encoder pass is recorded. In short passes, queuing the
 * commands takes a large part of the time.
 */
const MAX_RECORDED_TOKENS = 256;

/** Token ids or features of each source. */
type Sources = readonly Source[];

/** Sizes of a decoder. They are rounded up, so that similar batches can use the same decoder. */
interface Sizes {
  /** Number of units. A unit is `beams` sequences that share a source or belong to the same beam search. */
  readonly units: number;
  readonly beams: number;
  readonly maxLength: number;
  /** 0 without an encoder. */
  readonly sourceLength: number;
  /** Number of best tokens that the device finds for each sequence. */
  readonly rankedCount: number;
  readonly stopCount: number;
  readonly suppressedCount: number;
  readonly cacheType: CacheType;
}

/** A view of the first units of a decoder, and the recorded step that computes only these units. */
interface Part {
  readonly state: DecoderState;
  readonly recorded: RecordedStep;
}

/** Settings of the next call of `step` or `read`. */
export interface StepRequest {
  /** All tokens that each sequence has read and chosen. */
  readonly contexts: () => readonly (readonly number[])[];
  /** Maximum number of steps. */
  readonly steps: number;
  /** True if the caller needs all logits. */
  readonly logits: boolean;
  /** True if stop tokens may not be chosen yet. */
  readonly forbidsStops: boolean;
  /** 1 for each finished sequence, 0 for the others. */
  readonly finished: Int32Array;
}

/** Advances sequences: `step` by one or more tokens, `read` by their prompts. */
export interface SequenceDecoder {
  /** Number of tokens that every sequence can hold. */
  readonly room: number;
  /** True if the caller must pass these prompts to `read` before it calls `step`. */
  mustReadPrompts(contexts: readonly (readonly number[])[]): boolean;
  /**
   * True if the decoder drafts tokens. A step can then return several rankings even if the caller needs all logits.
   */
  readonly usesDrafts?: boolean;
  canShrinkTo(units: number): boolean;
  step(tokens: Int32Array, order: Int32Array | null, request: StepRequest): Promise<Ranking[]>;
  read(contexts: readonly (readonly number[])[], request: StepRequest): Promise<Ranking[]>;
  /** Called when the tokens after a pass are chosen: `context` ends with them. Compares them with the draft. */
  endDraft?(context: readonly number[]): void;
  assertUsable(): void;
}

/**
 * Decodes a batch with a decoder state and its recorded steps. The model keeps the decoder after use, for the next
 * batch of the same sizes. When sequences finish, the others move to the front, and steps compute fewer units.
 */
export class BatchDecoder implements SequenceDecoder {
  /** Parts by their number of units. */
  readonly #parts = new Map<number, Part>();
  /**
   * Programs that reorder sequences and sources, recorded at their first use. The result of each is the tensor for the
   * order.
   */
  #reorder: Program<Tensor> | null = null;
  #reorderSources: Program<Tensor> | null = null;
  readonly state: DecoderState;
  /** Number of units of the latest step. */
  #units = 0;
  /** Copies of `state.lengths` and `state.sourceLengths`. */
  #lengths = new Int32Array();
  #sourceLengths = new Int32Array();
  /** Lengths of the latest sources, and the recorded encoder pass for sources of these lengths. */
  #encodedLengths = '';
  #encoding: { readonly batch: TokenBatch; readonly program: Program<void> } | null = null;
  readonly #ranker: Ranker;
  readonly #pace = new Pace();
  #isFirst = true;
  #disposed = false;

  /**
   * `memory` is the encoder's output for `sources`, or null for models without an encoder. `shape` is the shape of each
   * source of features, or null for token ids.
   */
  constructor(
    readonly sizes: Sizes,
    private readonly model: Generative,
    memory: Memory | null,
    sources: Sources,
    shape: readonly number[] | null,
  ) {
    const { units, beams, maxLength, sourceLength, rankedCount, stopCount, suppressedCount, cacheType } = sizes;
    this.state = inference(model, () => {
      const from = memory === null ? { sequences: units } : { memory, sourceLength };
      return model.startDecoding({ beams, maxLength, cacheType, ...from });
    });
    const { device } = model;
    this.#ranker = orDispose(
      this.state,
      () => new Ranker(device, rankedCount, this.state.sequences, stopCount, suppressedCount),
    );
    this.#begin(sources, shape);
  }

  /**
   * Prepares the decoder for another batch. Unused units get a source of one token; the caller marks them as finished.
   */
  restart(newSources: Sources, shape: readonly number[] | null = null): void {
    const unusedCount = Math.max(0, this.state.sizes.sources - newSources.length);
    const oneToken = Array.isArray(newSources[0]) ? newSources[0].slice(0, 1) : [];
    const sources = [...newSources, ...Array<Source>(unusedCount).fill(oneToken)];
    if (this.state.sizes.sourceCapacity > 0) this.#readSources(sources, shape);
    else this.model.restartDecoding(this.state);
    this.#begin(sources, shape);
  }

  #readSources(sources: Sources, shape: readonly number[] | null): void {
    const { model } = this;
    const tokens = packed(shape ? [] : (sources as readonly (readonly number[])[]));
    if (shape) this.#encodeSources(joinSources(model, sources, shape));
    else if (
      `${tokens.lengths}` === this.#encodedLengths &&
      tokens.ids.length <= MAX_RECORDED_TOKENS &&
      !model.readsImages
    ) {
      if (this.#encoding === null) {
        const batch = model.device.unscoped(() => TokenBatch.from(model.device, 'source', tokens, null));
        const program = orDispose(batch, () => model.device.record(() => this.#encodeSources(batch)));
        this.#encoding = { batch, program };
      }
      this.#encoding.batch.ids.write(Int32Array.from(tokens.ids));
      this.#encoding.program.run();
    } else {
      this.#disposeEncoding();
      this.#encodeSources(tokens);
    }
  }

  #encodeSources(sources: Tokens): void {
    const { model, state } = this;
    inference(model, () => model.restartDecoding(state, atOnce(begun(() => encodeInParts(model, sources)))));
  }

  #disposeEncoding(): void {
    this.#encoding?.program.dispose();
    this.#encoding?.batch.dispose();
    this.#encoding = null;
  }

  #begin(sources: Sources, shape: readonly number[] | null): void {
    this.#isFirst = true;
    this.#units = this.state.sizes.sources;
    this.#lengths = new Int32Array(this.state.sequences);
    this.#sourceLengths = Int32Array.from(sources, (source) => rowsOfSource(this.model, source, shape));
    this.#encodedLengths = `${this.#sourceLengths}`;
  }

  /** True if a step for this number of units would compute fewer units than the latest step. */
  canShrinkTo(units: number): boolean {
    return this.state.sequences <= maxCacheRows(this.model.device) && this.#unitsFor(units) < this.#units;
  }

  /** False for prompts of one token, which a step reads. */
  mustReadPrompts(contexts: readonly (readonly number[])[]): boolean {
    return this.#isFirst && this.state.sizes.sourceCapacity === 0 && contexts.some(({ length }) => length > 1);
  }

  /** Number of tokens that every sequence can hold. */
  get room(): number {
    const { beams, capacity } = this.state.sizes;
    const lengths = this.#lengths.subarray(0, this.#units * beams);
    return capacity - lengths.reduce((longest, length) => Math.max(longest, length), 0);
  }

  /** True if the sequences have reached the model's rereadLength. A larger decoder must then read them again. */
  get mustReread(): boolean {
    return this.room < 1 && this.state.sizes.capacity === this.model.rereadLength;
  }

  /**
   * Sets the stop tokens and the suppressed tokens. Their numbers must equal `sizes.stopCount` and
   * `sizes.suppressedCount`.
   */
  setStops(stops: Iterable<number>, suppressed: Iterable<number>): void {
    this.#ranker.setStops(stops, suppressed);
  }

  /**
   * Reads one more token of each sequence and returns the rankings after it. Before that, sequence r becomes a copy of
   * sequence `order[r]`. Sequences beyond `tokens` have finished. If the next choices are the best tokens, several
   * short steps run, and there is a ranking for each. Rankings after the end of the last sequence are meaningless.
   */
  async step(tokens: Int32Array, order: Int32Array | null, request: StepRequest): Promise<Ranking[]> {
    this.assertUsable();
    const { state, recorded } = await this.#shrink(tokens.length);
    this.assertUsable();
    if (order !== null) this.#reorderSequences(order);
    const steps = this.#pace.stepsOf(request.steps);
    this.#isFirst = false;
    this.#lengths = this.#lengths.map((length) => length + steps);
    const next = new Int32Array(state.sequences);
    next.set(tokens);
    state.tokens.write(next);
    this.#ranker.setFinished(request.finished);
    for (let slot = 0; slot < steps; slot++) recorded.run(this.#ranker.scalars(slot, request.forbidsStops));
    const logits = request.logits ? recorded.result : null;
    return this.#pace.time(steps, (brief) => this.#ranker.read(steps, state.sequences, logits, brief));
  }

  /**
   * Replaces the content of the state by `contexts` and returns the rankings after them. Only the end of a context that
   * exceeds the state's capacity is read. For decoder-only models.
   */
  async read(contexts: readonly (readonly number[])[], { logits, forbidsStops }: StepRequest): Promise<Ranking[]> {
    this.assertUsable();
    const { state } = await this.#shrink(contexts.length);
    this.assertUsable();
    const all = Array.from({ length: state.sequences }, (_, i) => (contexts[i] ?? [0]).slice(-state.sizes.capacity));
    this.#lengths.set(all.map(({ length }) => length));
    this.#isFirst = false;
    const result = await this.#readPrompts(state, all);
    if (this.#disposed) result.dispose();
    this.assertUsable();
    this.#ranker.rank(result, state.tokens, forbidsStops);
    const rankings = this.#ranker.read(1, state.sequences, logits ? result : null);
    result.dispose(); // freed after the queued commands have run
    return rankings;
  }

  /**
   * Returns the logits after each prompt. Long prompts are read in pieces, so that activations take little memory. The
   * last pieces of all prompts are read in one pass; only this pass computes logits.
   */
  async #readPrompts(state: DecoderState, prompts: readonly (readonly number[])[]): Promise<Tensor> {
    const { model } = this;
    const pieces = prompts.map((prompt) => pieceStarts(model, prompt));
    const starts = pieces.map((boundaries) => boundaries.at(-1) as number);
    if (!model.extendInParts || starts.every((start) => start === 0))
      return prefillAsync(model, state, packed(prompts));
    const promptLength = longest(prompts);
    for (const [sequence, prompt] of prompts.entries())
      for (const [i, start] of (pieces[sequence] as number[]).slice(0, -1).entries()) {
        const piece = prompt.slice(start, pieces[sequence]?.[i + 1]);
        const options = { sequences: [sequence], starts: [start], logits: 'none', promptLength } as const;
        await extendAsync(model, state, [piece], options);
        await model.device.flush(); // queued commands would keep the activations of all pieces
        this.assertUsable();
      }
    const rest = prompts.map((prompt, sequence) => prompt.slice(starts[sequence]));
    return (await extendAsync(model, state, rest, { starts, logits: 'last', promptLength })) as Tensor;
  }

  /** Throws DisposedError if the decoder was disposed of, which happens when its model is. */
  assertUsable(): void {
    if (this.#disposed) throw disposedMeanwhile();
  }

  /** Frees the memory. Running commands are safe, because only commands that are queued later can reuse the memory. */
  dispose(): void {
    this.#disposed = true;
    for (const { state, recorded } of this.#parts.values()) {
      recorded.dispose();
      if (state !== this.state) state.dispose();
    }
    this.#reorder?.dispose();
    this.#reorderSources?.dispose();
    this.#disposeEncoding();
    this.#ranker.dispose();
    this.state.dispose();
  }

  async #shrink(sequences: number): Promise<Part> {
    const units = this.#unitsFor(sequences / this.state.sizes.beams);
    const part = await this.#partFor(units);
    this.#units = units;
    return part;
  }

  /** Rounds up to a power of two, because each size needs a recording of its own. */
  #unitsFor(units: number): number {
    return Math.min(this.#units, 2 ** Math.ceil(Math.log2(units)));
  }

  async #partFor(units: number): Promise<Part> {
    const known = this.#parts.get(units);
    if (known !== undefined) return known;
    const { model } = this;
    const isWhole = units === this.state.sizes.sources;
    const state = isWhole ? this.state : this.state.firstSources(units);
    let recorded: RecordedStep | undefined;
    try {
      recorded = await recordStep(model, state, (logits) => this.#ranker.rank(logits, state.tokens));
      this.assertUsable();
    } catch (error) {
      recorded?.dispose();
      if (!isWhole) state.dispose();
      this.assertUsable(); // this error is clearer than that of a disposed tensor
      throw error;
    }
    const part = { state, recorded };
    this.#parts.set(units, part);
    return part;
  }

  #reorderSequences(order: Int32Array): void {
    const { state } = this;
    const { sources, beams } = state.sizes;
    const { device } = this.model;
    const from = Int32Array.from({ length: state.sequences }, (_, to) => order[to] ?? to);
    const sourceFrom = Int32Array.from({ length: sources }, (_, to) =>
      Math.floor((from[to * beams] as number) / beams),
    );
    if (sourceFrom.some((source, to) => source !== to)) {
      this.#lengths = from.map((sequence) => this.#lengths[sequence] as number);
      state.setLengths(this.#lengths);
      this.#sourceLengths = sourceFrom.map((source) => this.#sourceLengths[source] as number);
      state.sourceLengths.write(this.#sourceLengths);
      this.#reorderSources ??= recordReorder(device, sources, (rows) => state.reorderSources(rows));
      this.#reorderSources.result.write(sourceFrom);
      this.#reorderSources.run();
    }
    this.#reorder ??= recordReorder(device, state.sequences, (rows) => state.reorder(rows));
    this.#reorder.result.write(from);
    this.#reorder.run();
  }
}

/**
 * Joins sources into the argument of `encode`. Each source of features has the shape `shape`. Features on the device
 * are already joined in one tensor.
 */
export function joinSources({ device }: Generative, sources: Sources, shape: readonly number[] | null): Tokens {
  if (!shape) return packed(sources as readonly (readonly number[])[]);
  const [first] = sources;
  if (first !== undefined && 'of' in first) return first.of;
  const size = first?.length ?? 0;
  const all = new Float32Array(sources.length * size);
  for (const [i, source] of sources.entries()) all.set(source as Float32Array, i * size);
  return device.tensor(all, [sources.length, ...shape]);
}

/** Number of rows of the encoder's output for a source. */
function rowsOfSource(model: Generative, { length }: Source, shape: readonly number[] | null): number {
  if (shape === null) return length;
  return model.sourceRows?.(shape) ?? model.maxSourceLength ?? 0;
}

/** Records `reorder`. The program's result is the tensor for the order, which the caller writes before each run. */
function recordReorder(device: Device, length: number, reorder: (order: Tensor) => void): Program<Tensor> {
  return device.record(() => {
    const order = device.empty([length], 'int32');
    reorder(order);
    return order;
  });
}

/**
 * Returns a decoder whose encoder has read the sources of all inputs. The caller gives it back with `endBatch`.
 * `isReread` is true if the sequences have reached the rereadLength of an earlier decoder.
 */
export async function startBatch(
  model: Generative,
  plan: Plan,
  { isReread = false }: { readonly isReread?: boolean } = {},
): Promise<BatchDecoder> {
  const { inputs, sourceShape, sequencesPerInput, rowsTogether, maxNewTokens, stopTokens, suppressTokens } = plan;
  const { maxLength, maxSourceLength = 0 } = model;
  const prompts = inputs.map(({ prompt }) => prompt);
  const sources = inputs.map(({ tokens }) => tokens);
  const { idle } = decodersOf(model);
  const { rereadLength } = model;
  const firstLength = rereadLength && longest(prompts) <= rereadLength ? rereadLength : maxLength;
  const sizes: Sizes = {
    units: (inputs.length * sequencesPerInput) / rowsTogether,
    beams: rowsTogether,
    maxLength: Math.min(maxLength, roundUp(longest(prompts) + maxNewTokens - 1), isReread ? maxLength : firstLength),
    sourceLength: Math.min(
      maxSourceLength,
      roundUp(sources.reduce((max, source) => Math.max(max, rowsOfSource(model, source, sourceShape)), 0)),
    ),
    rankedCount: rankedCountOf(plan),
    stopCount: stopTokens.size,
    suppressedCount: suppressTokens.length,
    cacheType: plan.cacheType,
  };
  const known = idleDecoderFor(model, idle as BatchDecoder[], sizes);
  if (known) {
    known.restart(sources, sourceShape); // stays idle if this throws
    idle.splice(idle.indexOf(known), 1);
    decodersOf(model).busy.add(known);
  }
  const decoder = known ?? (await newDecoder(model, sizes, sources, sourceShape));
  decoder.setStops(stopTokens, suppressTokens);
  return decoder;
}

/** Makes a decoder that has read the sources, in slices, and adds it to the busy ones. */
async function newDecoder(
  model: Generative,
  sizes: Sizes,
  sources: Sources,
  shape: readonly number[] | null,
): Promise<BatchDecoder> {
  await prepareAsync(model, sizes.maxLength);
  const reads = sizes.sourceLength > 0;
  const memory = reads ? await encodeAsync(model, () => joinSources(model, sources, shape)) : null;
  try {
    const { busy } = decodersOf(model); // throws if the model was disposed of meanwhile
    const decoder = new BatchDecoder(sizes, model, memory, sources, shape);
    busy.add(decoder);
    return decoder;
  } finally {
    memory?.hidden.dispose();
    memory?.batch.dispose();
  }
}

/**
 * Returns the idle decoder of these sizes, or else the smallest suitable one with more units. Steps compute only the
 * units in use.
 */
function idleDecoderFor(
  { device, featureShape }: Generative,
  idle: readonly BatchDecoder[],
  wanted: Sizes,
): BatchDecoder | undefined {
  const { units, ...others } = wanted;
  const isLarger = ({ state, sizes }: BatchDecoder) =>
    sizes.units > units &&
    sizes.units <= MAX_UNUSED_RATIO * units &&
    !featureShape &&
    state.sequences <= maxCacheRows(device);
  const fitting = idle.filter(
    (decoder) =>
      Object.entries(others).every(([name, value]) => decoder.sizes[name as keyof Sizes] === value) &&
      (decoder.sizes.units === units || isLarger(decoder)),
  );
  return fitting.sort((a, b) => a.sizes.units - b.sizes.units)[0];
}

/** Keeps a decoder for the next batch, unless its model was disposed of. */
export function endBatch(model: Generative, decoder: BatchDecoder): void {
  const decoders = keptOf(model);
  if (!decoders?.busy.delete(decoder)) return;
  decoders.idle.push(decoder);
  if (decoders.idle.length > MAX_IDLE) decoders.idle.shift()?.dispose();
}

/** Rounds up to few lengths, so that idle decoders fit: to a power of two, or beyond 256 by at most a quarter. */
function roundUp(length: number): number {
  const power = Math.max(16, 2 ** Math.ceil(Math.log2(length)));
  const step = power <= 256 ? power : power / 8;
  return step * Math.max(1, Math.ceil(length / step));
}
