import type { Device } from '../core/device.js';
import { ArgumentError, DisposedError } from '../core/errors.js';
import { orDispose } from '../core/or-dispose.js';
import type { Program } from '../core/program.js';
import type { Tensor } from '../core/tensor.js';
import type { DecoderState, Memory } from '../nn/decoder-state.js';
import { inference } from '../nn/module.js';
import { packed, TokenBatch, type Tokens } from '../nn/token-batch.js';
import { type CacheType, maxCacheRows } from '../ops/kv-cache.js';
import type { Generative } from './generative.js';
import { type RecordedStep, recordStep } from './in-slices.js';
import { Pace } from './pace.js';
import type { Plan, Source } from './plan.js';
import { longest } from './prompts.js';
import { Ranker, type Ranking, rankedOf } from './ranking.js';
import { keptOf, sessionsOf } from './sessions.js';

/** Idle sessions that a model keeps. */
const KEPT = 4;

/** Times as many places as a batch needs may be in the session that serves it: the encoder reads a token for each that is free. */
const ROOMY = 8;

/** Tokens of a batch up to which queuing the encoder's commands anew takes a part of the time that they take. */
const MOST_RECORDED = 256;

/** The tokens of each source, or its features. */
type Sources = readonly Source[];

/** What a session is good for; sizes are rounded up so that similar batches share one. */
interface Sizes {
  /** Of `beams` sequences each, which share a source or are beams of one input. */
  readonly groups: number;
  readonly beams: number;
  readonly maxLength: number;
  /** 0 without an encoder. */
  readonly sourceLength: number;
  /** Best tokens of each sequence that are found. */
  readonly ranked: number;
  readonly stops: number;
  readonly suppressed: number;
  readonly cache: CacheType;
}

/** The first sequences of a session, with a recorded step that computes for them alone. */
interface Part {
  readonly state: DecoderState;
  readonly recorded: RecordedStep;
}

/** What else the next steps are to know. */
export interface Ahead {
  /** All that each sequence has read and chosen. */
  readonly contexts: () => readonly (readonly number[])[];
  /** The most steps to take. */
  readonly steps: number;
  /** Whether all logits are wanted. */
  readonly logits: boolean;
  /** Whether stop tokens may not be chosen yet. */
  readonly forbids: boolean;
  /** Which sequences are finished: 1, or 0. */
  readonly finished: Int32Array;
}

/** What advances sequences: `step` by one or more tokens, `read` by prompts. */
export interface Steps {
  /** Tokens for which every sequence has room. */
  readonly room: number;
  /** Whether it begins with these, by `read`. */
  readsPrompts(contexts: readonly (readonly number[])[]): boolean;
  /** Whether steps may be several though all logits are wanted, as it guesses what is chosen. */
  readonly drafts?: boolean;
  shrinks(groups: number): boolean;
  step(tokens: Int32Array, order: Int32Array | null, ahead: Ahead): Promise<Ranking[]>;
  read(contexts: readonly (readonly number[])[], ahead: Ahead): Promise<Ranking[]>;
  assertUsable(): void;
}

/**
 * A decoder state and the programs that advance it, recorded once. Sessions go back to the model after use and serve
 * the next batch of the same sizes. Sequences can leave: the others then move to the front, and steps go no further
 * than they must.
 */
export class Session implements Steps {
  /** By the groups that they have. */
  readonly #parts = new Map<number, Part>();
  /** Made when beams change places for the first time, and when sources do. Their results are the orders. */
  #reorder: Program<Tensor> | null = null;
  #reorderSources: Program<Tensor> | null = null;
  readonly state: DecoderState;
  /** Groups that the latest step was for. */
  #groups = 0;
  /** What `state.lengths` and `state.sourceLengths` hold. */
  #lengths = new Int32Array();
  #sourceLengths = new Int32Array();
  /** The lengths of the last sources; and what encodes such, once they came again: it wants their ids. */
  #encodedLengths = '';
  #encoding: { readonly batch: TokenBatch; readonly program: Program<void> } | null = null;
  readonly #ranker: Ranker;
  readonly #pace = new Pace();
  #isFirst = true;
  #disposed = false;

  /** `sources` are ignored without an encoder. */
  constructor(
    readonly sizes: Sizes,
    private readonly model: Generative,
    sources: Sources,
    shape: readonly number[] | null,
  ) {
    const { groups, beams, maxLength, sourceLength, ranked, stops, suppressed, cache } = sizes;
    this.state = inference(model, () => {
      const from =
        sourceLength > 0
          ? { memory: encode(model, joined(model, sources, shape)), sourceLength }
          : { sequences: groups };
      return model.startDecoding({ beams, maxLength, cache, ...from });
    });
    const { device } = model;
    this.#ranker = orDispose(this.state, () => new Ranker(device, ranked, this.state.sequences, stops, suppressed));
    this.#begin(sources);
  }

  /** Makes it ready for another batch. Places without a source are as those that sequences have left. */
  restart(given: Sources, shape: readonly number[] | null = null): void {
    const free = Math.max(0, this.state.sizes.sources - given.length);
    const short = Array.isArray(given[0]) ? given[0].slice(0, 1) : [];
    const sources = [...given, ...Array<Source>(free).fill(short)];
    if (this.state.sizes.sourceCapacity > 0) this.#encode(sources, shape);
    else this.model.restartDecoding(this.state);
    this.#begin(sources);
  }

  #encode(sources: Sources, shape: readonly number[] | null): void {
    const { model } = this;
    const tokens = packed(shape ? [] : (sources as readonly (readonly number[])[]));
    if (shape) this.#remember(joined(model, sources, shape));
    else if (`${tokens.lengths}` === this.#encodedLengths && tokens.ids.length <= MOST_RECORDED) {
      if (this.#encoding === null) {
        const batch = model.device.unscoped(() => TokenBatch.from(model.device, 'source', tokens, null));
        const program = orDispose(batch, () => model.device.record(() => this.#remember(batch)));
        this.#encoding = { batch, program };
      }
      this.#encoding.batch.ids.write(Int32Array.from(tokens.ids));
      this.#encoding.program.run();
    } else {
      this.#forgetEncoding();
      this.#remember(tokens);
    }
  }

  #remember(sources: Tokens): void {
    const { model, state } = this;
    inference(model, () => model.restartDecoding(state, encode(model, sources)));
  }

  #forgetEncoding(): void {
    this.#encoding?.program.dispose();
    this.#encoding?.batch.dispose();
    this.#encoding = null;
  }

  #begin(sources: Sources): void {
    this.#isFirst = true;
    this.#groups = this.state.sizes.sources;
    this.#lengths = new Int32Array(this.state.sequences);
    this.#sourceLengths = Int32Array.from(sources, (source) => rowsOfSource(this.model, source));
    this.#encodedLengths = `${this.#sourceLengths}`;
  }

  /** Whether steps would be smaller if only so many groups went on. */
  shrinks(groups: number): boolean {
    return this.state.sequences <= maxCacheRows(this.model.device) && this.#groupsFor(groups) < this.#groups;
  }

  /** Prompts of one token are a step as any other. */
  readsPrompts(contexts: readonly (readonly number[])[]): boolean {
    return this.#isFirst && this.state.sizes.sourceCapacity === 0 && contexts.some(({ length }) => length > 1);
  }

  /** Tokens for which every sequence has room. */
  get room(): number {
    const { beams, capacity } = this.state.sizes;
    const lengths = this.#lengths.subarray(0, this.#groups * beams);
    return capacity - lengths.reduce((longest, length) => Math.max(longest, length), 0);
  }

  /** Whether longer sequences are to be read anew, by a session with more room. */
  get isOutgrown(): boolean {
    return this.room < 1 && this.state.sizes.capacity === this.model.rereadLength;
  }

  /** Says what ends a sequence, and what is never chosen: as many tokens as its sizes say. */
  setStops(stops: Iterable<number>, suppressed: Iterable<number>): void {
    this.#ranker.setStops(stops, suppressed);
  }

  /**
   * What follows after one more token of each sequence, where sequence r first goes on from what was `order[r]`.
   * Sequences beyond these have left. If sequences then go on with their best tokens there may be more steps than one:
   * as many as take little time. Those after the one that finishes the last sequence are left out, and mean nothing.
   */
  async step(tokens: Int32Array, order: Int32Array | null, ahead: Ahead): Promise<Ranking[]> {
    this.assertUsable();
    const { state, recorded } = await this.#shrink(tokens.length);
    this.assertUsable();
    if (order !== null) this.#move(order);
    const steps = this.#pace.stepsOf(ahead.steps);
    this.#isFirst = false;
    this.#lengths = this.#lengths.map((length) => length + steps);
    const next = new Int32Array(state.sequences);
    next.set(tokens);
    state.tokens.write(next);
    this.#ranker.setFinished(ahead.finished);
    for (let slot = 0; slot < steps; slot++) recorded.run(this.#ranker.scalars(slot, ahead.forbids));
    const logits = ahead.logits ? recorded.result : null;
    return this.#pace.time(steps, (brief) => this.#ranker.read(steps, state.sequences, logits, brief));
  }

  /**
   * Reads `contexts` instead of what it has read, of each as much of its end as there is room for. Decoder-only; else
   * as `step`.
   */
  async read(contexts: readonly (readonly number[])[], { logits, forbids }: Ahead): Promise<Ranking[]> {
    this.assertUsable();
    const { state } = await this.#shrink(contexts.length);
    this.assertUsable();
    const all = Array.from({ length: state.sequences }, (_, i) => (contexts[i] ?? [0]).slice(-state.sizes.capacity));
    this.#lengths.set(all.map(({ length }) => length));
    this.#isFirst = false;
    const result = prefill(this.model, state, packed(all));
    this.#ranker.rank(result, state.tokens, forbids);
    const rankings = this.#ranker.read(1, state.sequences, logits ? result : null);
    result.dispose(); // once that has run
    return rankings;
  }

  /** Throws if the model was disposed of, and this with it. */
  assertUsable(): void {
    if (!this.#disposed) return;
    const toDo = 'await or abort its generations, and leave the loops of its streams, before model.dispose()';
    throw new DisposedError(`generate: the model was disposed of meanwhile; ${toDo}`);
  }

  /** What runs meanwhile is not disturbed: memory is used again only by what is queued later. */
  dispose(): void {
    this.#disposed = true;
    for (const { state, recorded } of this.#parts.values()) {
      recorded.dispose();
      if (state !== this.state) state.dispose();
    }
    this.#reorder?.dispose();
    this.#reorderSources?.dispose();
    this.#forgetEncoding();
    this.#ranker.dispose();
    this.state.dispose();
  }

  async #shrink(sequences: number): Promise<Part> {
    const groups = this.#groupsFor(sequences / this.state.sizes.beams);
    const part = await this.#part(groups);
    this.#groups = groups;
    return part;
  }

  /** A few sizes are enough: each is recorded once. */
  #groupsFor(groups: number): number {
    return Math.min(this.#groups, 2 ** Math.ceil(Math.log2(groups)));
  }

  async #part(groups: number): Promise<Part> {
    const known = this.#parts.get(groups);
    if (known !== undefined) return known;
    const { model } = this;
    const isWhole = groups === this.state.sizes.sources;
    const state = isWhole ? this.state : this.state.first(groups);
    let recorded: RecordedStep | undefined;
    try {
      recorded = await recordStep(model, state, (logits) => this.#ranker.rank(logits, state.tokens));
      this.assertUsable();
    } catch (error) {
      recorded?.dispose();
      if (!isWhole) state.dispose();
      this.assertUsable(); // its own error says more than that of a tensor that went with the model
      throw error;
    }
    const part = { state, recorded };
    this.#parts.set(groups, part);
    return part;
  }

  #move(order: Int32Array): void {
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
      this.#reorderSources ??= recordReorder(device, sources, (places) => state.reorderSources(places));
      this.#reorderSources.result.write(sourceFrom);
      this.#reorderSources.run();
    }
    this.#reorder ??= recordReorder(device, state.sequences, (places) => state.reorder(places));
    this.#reorder.result.write(from);
    this.#reorder.run();
  }
}

/** Sources as `encode` takes them; of `shape` each, if they are features: all that their tensor has, if they are there. */
export function joined({ device }: Generative, sources: Sources, shape: readonly number[] | null): Tokens {
  if (!shape) return packed(sources as readonly (readonly number[])[]);
  const [first] = sources;
  if (first !== undefined && 'of' in first) return first.of;
  const size = first?.length ?? 0;
  const all = new Float32Array(sources.length * size);
  for (const [i, source] of sources.entries()) all.set(source as Float32Array, i * size);
  return device.tensor(all, [sources.length, ...shape]);
}

/** How many rows the encoder makes of a source. */
function rowsOfSource({ featureShape, maxSourceLength = 0 }: Generative, { length }: Source): number {
  return featureShape ? maxSourceLength : length;
}

function encode(model: Generative, sources: Tokens): Memory {
  if (model.encode) return model.encode(sources);
  throw new ArgumentError('generate: the model has a maxSourceLength, but no encode()');
}

function prefill(model: Generative, state: DecoderState, prompts: Tokens): Tensor {
  if (model.prefill) return model.prefill(state, prompts);
  throw new ArgumentError('generate: the model reads no sources, and has no prefill()');
}

/** Its result is the order, to be written before it runs. */
function recordReorder(device: Device, length: number, reorder: (order: Tensor) => void): Program<Tensor> {
  return device.record(() => {
    const order = device.empty([length], 'int32');
    reorder(order);
    return order;
  });
}

/**
 * A session for the inputs, which has read their sources; `outgrown`: for what a session of before had no room for. Give
 * it back with `endSession`.
 */
export function startSession(model: Generative, plan: Plan, outgrown = false): Session {
  const { inputs, sourceShape, width, group, maxNewTokens, stopTokens, suppressTokens } = plan;
  const { maxLength, maxSourceLength = 0, featureShape } = model;
  const prompts = inputs.map(({ prompt }) => prompt);
  const sources = inputs.map(({ tokens }) => tokens);
  const { idle, busy } = sessionsOf(model);
  const { rereadLength } = model;
  const mostAtFirst = rereadLength && longest(prompts) <= rereadLength ? rereadLength : maxLength;
  const sizes: Sizes = {
    groups: (inputs.length * width) / group,
    beams: group,
    maxLength: Math.min(maxLength, roundUp(longest(prompts) + maxNewTokens - 1), outgrown ? maxLength : mostAtFirst),
    sourceLength: Math.min(maxSourceLength, roundUp(featureShape ? maxSourceLength : longest(sources))),
    ranked: rankedOf(plan),
    stops: stopTokens.size,
    suppressed: suppressTokens.length,
    cache: plan.cacheType,
  };
  const known = knownFor(model, idle as Session[], sizes);
  if (known) {
    known.restart(sources, sourceShape); // or it stays idle, if it refuses them
    idle.splice(idle.indexOf(known), 1);
  }
  const session = known ?? new Session(sizes, model, sources, sourceShape);
  busy.add(session);
  session.setStops(stopTokens, suppressTokens);
  return session;
}

/** The idle session of these sizes, or else the smallest with more places, of which a step computes no more than it must. */
function knownFor({ device, featureShape }: Generative, idle: readonly Session[], wanted: Sizes): Session | undefined {
  const { groups, ...others } = wanted;
  const isRoomy = ({ state, sizes }: Session) =>
    sizes.groups > groups && sizes.groups <= ROOMY * groups && !featureShape && state.sequences <= maxCacheRows(device);
  const fitting = idle.filter(
    (session) =>
      Object.entries(others).every(([name, value]) => session.sizes[name as keyof Sizes] === value) &&
      (session.sizes.groups === groups || isRoomy(session)),
  );
  return fitting.sort((a, b) => a.sizes.groups - b.sizes.groups)[0];
}

/** Keeps it for the next batch, unless it went with its model. */
export function endSession(model: Generative, session: Session): void {
  const sessions = keptOf(model);
  if (!sessions?.busy.delete(session)) return;
  sessions.idle.push(session);
  if (sessions.idle.length > KEPT) sessions.idle.shift()?.dispose();
}

/** To a power of two, 16 at least. */
function roundUp(length: number): number {
  return Math.max(16, 2 ** Math.ceil(Math.log2(length)));
}
