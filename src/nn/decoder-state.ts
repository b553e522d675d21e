// The caches of a decoder between steps, so that a step computes only the new token.
//
//   const memory = model.encode(source);                                   // encoder–decoder only
//   const state = model.startDecoding({ memory, beams: 4, maxLength: 64 }); // sequence r = source · beams + beam
//   state.tokens.write(Int32Array of bosId, one for each sequence);
//   const step = device.record(() => model.step(state));                   // result: logits [sequences, vocabulary]
//   loop:
//     step.run();            // appends keys and values of state.tokens, counts positions up; logits in step.result
//     … choose from step.result (ops recorded after model.step, or on the host) and state.tokens.write(next)
//     reorder.run();         // device.record(() => state.reorder(order)), if beams change rows
//
// Decoder-only models: after model.startDecoding({ sequences: 3 }), model.prefill(state, prompts) returns the logits
// after each prompt, and model.step(state) continues from there. All that changes between steps (tokens, positions,
// lengths, order) is data in the heap, so a recorded step is good for every position. After
// model.restartDecoding(state, memory) the same state, and programs recorded with it, serve the next batch.
//
// Some sequences of a state can read several tokens after those that they have, while the others stay as they are:
//
//   model.extend(state, [chunk], { sequences: [2], starts: [256], logits: 'none' }); // a prompt in chunks
//   state.copySequence(3, 2, 256);                                          // equal beginnings are computed once
//   const logits = model.extend(state, [ids], { starts: [length], logits: 'every' }); // after every token
//
// If `starts` is less than the length of a sequence, the sequence forgets the rest. A recorded step in between computes
// all sequences and advances them. The next `extend` overwrites its results for sequences that were not to advance, or
// `setLength` forgets them.
//
// Layers declare their caches (`CacheSpec`). Keys and values have a row for each token. A recurrent state stands
// for all tokens before it, so it is kept at some lengths only (`recurrent-slots.ts`). A sequence can go on from the
// lengths that `resumableLength` returns. A run that needs a state which is not kept fails.

import { checkNumber, isWhole } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import { orDispose } from '../core/or-dispose.js';
import type { DType, Shape, Tensor } from '../core/tensor.js';
import { advance, type CacheType, cacheCopy, cacheReorder, clear } from '../ops/kv-cache.js';
import type { Extension, StateSlots } from './extension.js';
import type { PositionShifts } from './position-shifts.js';
import type { RecurrentSlots } from './recurrent-slots.js';
import type { Sequences } from './sequences.js';

/** The output of `encode` for a source batch. */
export interface Memory {
  /** float32 [N, dModel], the encoder's outputs packed end to end. */
  readonly hidden: Tensor;
  readonly batch: Sequences;
}

/** A cache that a part of a decoder needs between steps. */
export interface CacheSpec {
  /** The part that owns the cache; see `DecoderState.cacheOf`. */
  readonly part: object;
  /**
   * Rows of a sequence. 'tokens' has one for each target token, and 'source' one for each token of the encoder's
   * output. 'states' has one for each length at which a recurrent state is kept.
   */
  readonly rows: 'tokens' | 'source' | 'states';
  /** The class that positions recurrent states. Given with the rows 'states'. */
  readonly slots?: typeof RecurrentSlots;
  /** Row width in words. States are float32; keys and values may be packed as `cacheAppend` writes them. */
  readonly width: number;
}

export interface CacheSizes {
  /** The model that the state belongs to. */
  readonly model: object;
  /** The format of keys and values. Default: 'float32'. */
  readonly cacheType?: CacheType | undefined;
  /** Caches of all layers. */
  readonly caches: readonly CacheSpec[];
  /** Batch items; each has `beams` sequences. */
  readonly sources: number;
  readonly beams: number;
  /** Maximum number of target tokens of a sequence. */
  readonly capacity: number;
  /** Maximum length of the text when the sequence moves to a larger state. Default: `capacity`. */
  readonly textLength?: number | undefined;
  /** Maximum number of source tokens of an item; 0 without an encoder. */
  readonly sourceCapacity: number;
  /** The class of `shifts`, if images move the rotary positions of later tokens. Default: null. */
  readonly shifts?: typeof PositionShifts | null | undefined;
}

/**
 * Caches and counters of a decoder; see the top of this file. Lives until `dispose()`, in whatever scope it was made.
 */
export class DecoderState {
  /** int32 [sequences]: the tokens that the next step reads. The caller writes them. */
  readonly tokens: Tensor;
  /** int32 [sequences]: position of the newest token, from 0; -1 before the first step. */
  readonly positions: Tensor;
  /** int32 [sequences]: tokens so far. */
  readonly lengths: Tensor;
  /** int32 [sources]: tokens of each source. */
  readonly sourceLengths: Tensor;
  /** The cache of each part: [sequences or sources, rows, width]. */
  readonly #caches = new Map<object, { readonly rows: CacheSpec['rows']; readonly tensor: Tensor }>();
  readonly #slots: RecurrentSlots | null;
  /** The distance of rotary positions from `positions`; null if there is none. */
  readonly shifts: PositionShifts | null;
  /** Sequences decoded side by side: sources · beams. */
  readonly sequences: number;
  /** `positions` and `lengths` in one tensor, so that one command counts both. */
  readonly #counters: Tensor;
  readonly #owned: Tensor[] = [];

  /** Takes memory for `sizes`. With `whole`, it is a part of that state's memory. Throws OutOfMemoryError. */
  constructor(
    private readonly device: Device,
    readonly sizes: CacheSizes,
    whole?: DecoderState,
  ) {
    const { caches, sources, beams, capacity, sourceCapacity } = sizes;
    // Memory is taken before anything is filled. The queued commands of a state that does not fit would otherwise still
    // write gigabytes.
    const blank: Tensor[] = [];
    const zeros = (shape: Shape, dtype: DType) => {
      const tensor = device.empty(shape, dtype);
      blank.push(tensor);
      return tensor;
    };
    const unscoped = (make: () => Tensor): Tensor => {
      const tensor = orDispose(this, () => device.unscoped(make)); // frees the earlier tensors after an error
      this.#owned.push(tensor);
      return tensor;
    };
    const rowsOf = (of: Tensor | null | undefined, count: number, make: () => Tensor) =>
      unscoped(() => of?.rows(0, count) ?? make());
    const dtype = (sizes.cacheType ?? 'float32') === 'float32' ? 'float32' : 'int32';
    const sequences = sources * beams;
    this.sequences = sequences;
    this.tokens = rowsOf(whole?.tokens, sequences, () => zeros([sequences], 'int32'));
    this.#counters = whole ? whole.#counters : unscoped(() => zeros([2 * sequences], 'int32'));
    this.positions = rowsOf(whole?.positions, sequences, () => this.#counters.columns(0, sequences));
    this.lengths = rowsOf(whole?.lengths, sequences, () => this.#counters.columns(sequences, 2 * sequences));
    this.sourceLengths = rowsOf(whole?.sourceLengths, sources, () => zeros([sources], 'int32'));
    this.#slots = this.#newSlots(whole);
    for (const { part, rows, width } of caches) {
      const count = rows === 'source' ? sources : sequences;
      const length = { tokens: capacity, source: sourceCapacity, states: this.#slots?.count ?? 0 }[rows];
      const make = () => zeros([count, length, width], rows === 'states' ? 'float32' : dtype);
      this.#caches.set(part, { rows, tensor: rowsOf(whole?.cacheOf(part), count, make) });
    }
    this.shifts = this.#newShifts(whole);
    for (const tensor of blank) clear(tensor);
    if (!whole) this.setLengths(new Int32Array(sequences));
  }

  /** The slots of recurrent states, if layers have any. */
  #newSlots(whole: DecoderState | undefined): RecurrentSlots | null {
    const { caches, capacity } = this.sizes;
    const stateWords = caches.reduce((sum, { rows, width }) => sum + (rows === 'states' ? width : 0), 0);
    const Slots = caches.find(({ slots }) => slots)?.slots;
    if (!Slots) return null;
    const sizes = { sequences: this.sequences, capacity, stateWords };
    const slots = orDispose(this, () => new Slots(this.device, sizes, whole ? whole.#slots : null));
    this.#owned.push(...slots.tensors);
    return slots;
  }

  /** The shifts of rotary positions, if images move them. */
  #newShifts(whole: DecoderState | undefined): PositionShifts | null {
    const { shifts: Shifts, capacity } = this.sizes;
    if (!Shifts) return null;
    const shifts = orDispose(this, () => new Shifts(this.device, this.sequences, capacity, whole?.shifts ?? null));
    this.#owned.push(...shifts.tensors);
    return shifts;
  }

  /**
   * The first `sources` items as a state of their own in the same memory. Its steps compute these items alone, but also
   * advance the positions and lengths of the others. Dispose of it before this state.
   */
  firstSources(sources: number): DecoderState {
    return new DecoderState(this.device, { ...this.sizes, sources }, this);
  }

  /** The cache that a part has declared: [sequences or sources, rows, width]. */
  cacheOf(part: object): Tensor {
    const cache = this.#caches.get(part);
    if (cache) return cache.tensor;
    throw new ArgumentError('DecoderState: the part has no memory in this state, expected one of its model');
  }

  /** The caches of all parts, in the order of `sizes.caches`. */
  get caches(): readonly Tensor[] {
    return [...this.#caches.values()].map(({ tensor }) => tensor);
  }

  /** True if layers have recurrent states. */
  get isRecurrent(): boolean {
    return this.#slots !== null;
  }

  /**
   * Number of latest lengths whose recurrent states are kept. A sequence can forget fewer than this number of its
   * latest tokens, if they were read one by one. Infinite without recurrent states.
   */
  get recentStates(): number {
    return this.#slots?.ring ?? Number.POSITIVE_INFINITY;
  }

  /** The most tokens, up to `length`, after which a sequence that has more tokens can go on. */
  resumableLength(length: number): number {
    return this.#slots?.checkpointUpTo(length) ?? length;
  }

  /** Makes room for one more token in every sequence: the newest is now at `positions`. */
  advance(): void {
    advance(this.#counters);
    this.#slots?.setPositions(this.positions, this.lengths);
    this.shifts?.setPositions(this.positions);
  }

  /** int32 [sequences]: the rotary position of the newest token. */
  get rotaryPositions(): Tensor {
    return this.shifts?.rotaryPositions ?? this.positions;
  }

  /** Slots at which the next token of each sequence reads and writes recurrent states. `advance` sets them. */
  get stateSlots(): StateSlots {
    return (this.#slots as RecurrentSlots).stateSlots;
  }

  /** Same for new tokens of some sequences. Undefined without recurrent states. */
  slotsFor({ parts, asSteps }: Pick<Extension, 'parts' | 'asSteps'>): StateSlots | undefined {
    return this.#slots?.slotsFor(parts, asSteps);
  }

  /**
   * Sequence r continues what was sequence `order[r]`, of the same source unless `reorderSources` moves that, too.
   * Lengths stay, so they must be equal or set before. `order` is int32 [sequences] and data in the heap: record this
   * once and write `order` between runs.
   */
  reorder(order: Tensor): void {
    for (const { rows, tensor } of this.#caches.values())
      if (rows === 'tokens') cacheReorder(tensor, order, this.lengths);
      else if (rows === 'states') this.#slots?.reorder(tensor, order);
    this.#slots?.reorderTags(order);
    this.shifts?.reorder(order, this.lengths);
  }

  /** Item s gets the source of item `order[s]`, int32 [sources]. Record it as `reorder`. */
  reorderSources(order: Tensor): void {
    for (const { rows, tensor } of this.#caches.values())
      if (rows === 'source') cacheReorder(tensor, order, this.sourceLengths);
  }

  /** Sets the number of tokens of each sequence. */
  setLengths(lengths: Int32Array): void {
    this.positions.write(lengths.map((length) => length - 1));
    this.lengths.write(lengths);
    if (lengths.every((length) => length === 0)) this.shifts?.clear();
  }

  /** Sets the number of tokens of one sequence; the others stay unchanged. */
  setLength(sequence: number, length: number): void {
    const entryOf = (counters: Tensor) => counters.columns(sequence, sequence + 1);
    this.device.scope(() => {
      entryOf(this.positions).write([length - 1]);
      entryOf(this.lengths).write([length]);
    });
  }

  /**
   * Lets sequence `to` begin with the first `length` tokens of sequence `from`, of this state or of `source`, another
   * state of the model. `length` is all that it has, or a `resumableLength`. Throws ArgumentError for sequences that are not
   * there or have no room for it.
   */
  copySequence(to: number, from: number, length: number, source: DecoderState = this): void {
    checkCopy(this, source, to, from, length);
    this.device.scope(() => {
      for (const [part, { rows, tensor }] of length === 0 ? [] : this.#caches) {
        if (rows === 'source') continue;
        const read = source.cacheOf(part);
        if (rows === 'states') this.#slots?.copy(tensor, to, read, from, length);
        else cacheCopy(tensor, to, read, from, [0, length]);
      }
      if (length > 0) this.shifts?.copy(to, source.shifts as PositionShifts, from, length);
      if (length > 0 && this.#slots) this.#slots.copyTags(to, source.#slots as RecurrentSlots, from, length);
    });
    this.setLength(to, length);
  }

  dispose(): void {
    for (const tensor of this.#owned) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function checkCopy(state: DecoderState, source: DecoderState, to: number, from: number, length: number): void {
  const op = 'copySequence';
  if (state.sizes.model !== source.sizes.model)
    throw new ArgumentError(`${op}: source is a state of another model, expected one of the same`);
  const [cacheType, sourceCacheType] = [state, source].map(({ sizes: { cacheType: type = 'float32' } }) => type);
  if (cacheType !== sourceCacheType)
    throw new ArgumentError(`${op}: source keeps keys and values as ${sourceCacheType}, expected ${cacheType}`);
  const isIn = (n: number) => (i: number) => isWhole(i) && i < n;
  checkNumber(op, 'to', to, isIn(state.sequences), `0 to ${state.sequences - 1}`);
  checkNumber(op, 'from', from, isIn(source.sequences), `0 to ${source.sequences - 1}`);
  const max = Math.min(state.sizes.capacity, source.sizes.capacity);
  checkNumber(op, 'length', length, (n) => isWhole(n) && n <= max, `0 to ${max}`);
}
