// The common part of all models: encoding, generating by steps, and inspection.

import { copied } from '../core/copied.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { Scalar } from '../core/operand.js';
import { orDispose } from '../core/or-dispose.js';
import { Random } from '../core/random.js';
import type { Tensor } from '../core/tensor.js';
import type { GenerateOptions, GenerateResult, TokenEvent } from '../generate/generate-options.js';
import type { DecodingOptions, ExtendOptions, Generative } from '../generate/generative.js';
import { disposeDecoders, forgetDecoders } from '../generate/model-decoders.js';
import type { AttentionsByKind } from '../inspect/attention-maps.js';
import { DecoderState, type Memory } from '../nn/decoder-state.js';
import { Dropout, type Randomness } from '../nn/dropout.js';
import type { TransformerLayer } from '../nn/layer.js';
import { inference, Module } from '../nn/module.js';
import { RotaryEmbedding } from '../nn/rotary-embedding.js';
import type { Stack } from '../nn/stack.js';
import { TokenBatch, type Tokens } from '../nn/token-batch.js';
import type { CacheType } from '../ops/kv-cache.js';
import { gather } from '../ops/move.js';
import { cacheSizes, checkExtension, checkMemory, checkPrompts, checkState } from './decoding.js';

/** The stream of random numbers that dropout has, apart from the parameters' streams, which count up from 0. */
const DROPOUT = 2 ** 32 - 1;

/** An encoder's output for tokens. */
export interface Encoded extends Memory {
  readonly batch: TokenBatch;
}

/**
 * A model of tokens. A family says what it is made of: an encoder, a decoder or both, how tokens become vectors, and how
 * features become logits.
 */
export abstract class Model extends Module implements Generative {
  abstract readonly encoder: Stack | null;
  abstract readonly decoder: Stack | null;
  abstract readonly vocabSize: number;
  abstract readonly maxLength: number;
  abstract readonly startId: number | null;
  abstract readonly endIds: readonly number[];
  abstract readonly padId: number | null;
  /** The format of keys and values while the model generates, unless `generate` and the like say it. */
  cacheType: CacheType = 'float32';
  /** The state that all dropouts of the model share. */
  protected readonly randomness: Randomness = { seed: 0, streams: 0 };
  #seeds: Random;
  #dropouts: Dropout[] | null = null;

  constructor(
    readonly device: Device,
    seed = 0,
  ) {
    super();
    this.#seeds = new Random(seed, DROPOUT);
  }

  /** Vectors of source tokens, float32 [N, dModel]. */
  protected abstract embedSource(ids: Tensor, positions: Tensor): Tensor;
  /** Vectors of target tokens, float32 [N, dModel]; `positions`: where they stand in their sequences. */
  protected abstract embedTarget(ids: Tensor, positions: Tensor): Tensor;
  /** Logits of features, float32 [N, vocabSize]. */
  abstract logitsOf(features: Tensor): Tensor;

  /** The encoder's output for a source batch. Belongs to the scope it is called in. Throws as `forward`. */
  encode(source: Tokens): Memory {
    if (!(source instanceof TokenBatch)) {
      const batch = this.toBatch('source', source); // outlives the scope, as part of the memory
      return orDispose(batch, () => this.encode(batch));
    }
    return this.device.scope(() => {
      this.beginPass();
      return this.encodeBatch(source);
    });
  }

  /**
   * Writes a target for each source, or goes on from each prompt of a decoder-only model (an empty one is its start):
   * greedily, by beam search, or by sampling. Inputs may differ in length, and no output depends on its neighbours.
   * Memory and programs are kept for the next call with a batch like this one.
   *
   * The model runs off this thread, but for runs of up to 2 ms. Rejects with ArgumentError for impossible options,
   * NonFiniteError where scores are NaN or infinite, SimdformerError where all tokens are forbidden, DisposedError if the
   * model is disposed of meanwhile, the reason of `signal`, and what `forward` throws.
   */
  generate(input: Tokens, options: GenerateOptions = {}): Promise<GenerateResult> {
    const [inputs, given] = [copied(input), copied(options)];
    return writing().then(({ generate }) => generate(this, inputs, given));
  }

  /**
   * Generates like `generate`, and yields every token as soon as it is chosen. The iterator returns the result at its end.
   * Leaving the loop ends the generation. Without beams.
   */
  stream(input: Tokens, options: GenerateOptions = {}): AsyncGenerator<TokenEvent, GenerateResult, void> {
    return streamed(this, copied(input), copied(options));
  }

  /**
   * A state to decode with, one token at a time; see nn/decoder-state.ts. To be disposed of by the caller. Throws
   * ArgumentError, ShapeError if the sizes do not fit the model or the memory, OutOfMemoryError.
   */
  startDecoding(options: DecodingOptions = {}): DecoderState {
    const sizes = cacheSizes(this, options);
    // Before anything is queued: what is written now goes into the heap, and the queue need not grow for it.
    for (const part of this.decoder?.modules() ?? [])
      if (part instanceof RotaryEmbedding) part.reserve(sizes.textLength ?? sizes.capacity);
    const state = new DecoderState(this.device, sizes);
    orDispose(state, () => this.restartDecoding(state, options.memory));
    return state;
  }

  /** Empties a state for another memory of as many sources. What was recorded stays good. Throws as `startDecoding`. */
  restartDecoding(state: DecoderState, memory?: Memory): void {
    const decoder = this.#decoderOf('restartDecoding', state);
    checkMemory('restartDecoding', this, state.sizes, memory);
    inference(this, () => {
      state.setLengths(new Int32Array(state.sequences));
      if (memory) decoder.remember(memory, state);
    });
  }

  /**
   * Reads a prompt for each sequence of a fresh state in one pass and returns the logits after its last token,
   * [sequences, vocabulary]. For decoder-only models; a prefix of a translation goes in by steps.
   */
  prefill(state: DecoderState, prompts: Tokens): Tensor {
    const decoder = this.#decoderOf('prefill', state);
    return inference(this, () => {
      const batch = this.toBatch('prefill', prompts);
      checkPrompts(this, state, batch);
      if (state.sizes.cache !== 'float32') return this.extend(state, batch); // attends to what is packed, as later steps do
      const features = decoder.forward(this.embedTarget(batch.ids, batch.positions), batch, { state });
      state.setLengths(Int32Array.from(batch.counts));
      return this.logitsOf(gather(features, this.device.tensor(batch.ends)));
    });
  }

  /**
   * Reads more tokens of some sequences of a state, after those that they have, and returns the logits that `logits` asks
   * for; null if none. The other sequences stay as they are. A text that is read in chunks, wherever it is cut, gives the
   * bits of `prefill`; with `logits: 'every'` those of one `step` after the other. For decoder-only models. Throws
   * ArgumentError for options that make no sense, ShapeError where there is no room, and what `forward` throws.
   */
  extend(state: DecoderState, tokens: Tokens, options: ExtendOptions & { logits: 'none' }): null;
  extend(
    state: DecoderState,
    tokens: Tokens,
    options?: ExtendOptions & { logits?: 'last' | 'every' | undefined },
  ): Tensor;
  extend(state: DecoderState, tokens: Tokens, options: ExtendOptions = {}): Tensor | null {
    const layers = this.extendByLayers(state, tokens, options);
    return inference(this, () => {
      for (;;) {
        const { done, value } = layers.next();
        if (done) return value;
      }
    });
  }

  /** Same as `extend`, yielding after each layer, where the caller can pause. The caller ends the generator. */
  *extendByLayers(state: DecoderState, tokens: Tokens, options: ExtendOptions = {}): Generator<Tensor, Tensor | null> {
    const decoder = this.#decoderOf('extend', state);
    const { batch, x, extension, logits } = inference(this, () => {
      const batch = this.toBatch('extend', tokens);
      const { parts, logits } = checkExtension(this, state, batch, options);
      const all = parts.flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => start + i));
      const positions = this.device.tensor(Int32Array.from(all));
      const extension = { positions, parts, asSteps: logits === 'every' };
      return { batch, x: this.embedTarget(batch.ids, positions), extension, logits };
    });
    const own: { dispose(): void }[] = [x, extension.positions, ...(batch === tokens ? [] : [batch])];
    try {
      const features = yield* this.#pausing(decoder.extendByLayers(x, extension, state));
      own.push(features);
      for (const { sequence, start, count } of extension.parts) state.setLength(sequence, start + count);
      if (logits === 'none') return null;
      return inference(this, () =>
        this.logitsOf(logits === 'every' ? features : gather(features, this.device.tensor(batch.ends))),
      );
    } finally {
      for (const each of own) each.dispose();
    }
  }

  /**
   * Reads one more token of each sequence, `state.tokens`, and returns the logits of the next, [sequences, vocabulary].
   * Costs no more per token the longer the sequence, but for attention. Record it once and run it for every position.
   */
  step(state: DecoderState): Tensor {
    const decoder = this.#decoderOf('step', state);
    return inference(this, () => {
      state.advance();
      return this.logitsOf(decoder.step(this.embedTarget(state.tokens, state.positions), state));
    });
  }

  /** Same as `step`, yielding after each layer, where the caller can pause. The caller ends the generator. */
  *stepByLayers(state: DecoderState): Generator<Tensor, Tensor> {
    const decoder = this.#decoderOf('step', state);
    const x = inference(this, () => {
      state.advance();
      return this.embedTarget(state.tokens, state.positions);
    });
    let features: Tensor | undefined;
    try {
      features = yield* this.#pausing(decoder.stepByLayers(x, state));
      const last = features;
      return inference(this, () => this.logitsOf(last));
    } finally {
      x.dispose();
      features?.dispose();
    }
  }

  /** Runs each layer in a scope of its own, in inference mode. */
  *#pausing(layers: Generator<Tensor, Tensor>): Generator<Tensor, Tensor> {
    let last: Tensor | undefined;
    try {
      for (;;) {
        const { done, value } = inference(this, () => layers.next());
        if (done) {
          if (last === value) last = undefined;
          return value;
        }
        last = value;
        yield value;
      }
    } finally {
      last?.dispose();
    }
  }

  /** Tokens that a source can have; 0 if the model reads none. */
  get maxSourceLength(): number {
    return this.encoder ? this.maxLength : 0;
  }

  /** The attentions of all layers, by what they are. */
  get attentions(): AttentionsByKind {
    const { encoder, decoder } = this;
    return {
      encoder: encoder?.layers.map((layer) => layer.selfAttn) ?? [],
      decoder: decoder?.layers.map((layer) => layer.selfAttn) ?? [],
      cross: decoder?.layers.flatMap((layer) => layer.multiheadAttn ?? []) ?? [],
    };
  }

  /**
   * True if backward computes every layer once more instead of keeping what it needs: a third more work for a fraction
   * of the memory. The results are the same to the bit. Default false.
   */
  get gradientCheckpointing(): boolean {
    return this.#layers().some((layer) => layer.recomputes);
  }

  set gradientCheckpointing(on: boolean) {
    for (const layer of this.#layers()) layer.recomputes = on;
  }

  /** Uploads a batch of source or target sequences, for use in any number of calls. Throws as `forward`. */
  batch(tokens: Tokens): TokenBatch {
    return this.toBatch('batch', tokens);
  }

  /** Lets dropout draw anew from `seed`, an integer, 0 or more: the same seed drops the same elements. */
  seedDropout(seed: number): void {
    this.#seeds = new Random(seed, DROPOUT);
  }

  /**
   * Frees the parameters and what generation keeps. Generations under way, and streams, end with DisposedError at their
   * next step; what they held is free at once.
   */
  override dispose(): void {
    disposeDecoders(this);
    super.dispose();
  }

  protected toBatch(name: string, tokens: Tokens): TokenBatch {
    const batch = TokenBatch.from(this.device, name, tokens, this.padId);
    if (batch.longest <= this.maxLength) return batch;
    if (batch !== tokens) batch.dispose();
    throw new ShapeError(`${name}: ${batch.longest} tokens, but the model's maxLength is ${this.maxLength}`);
  }

  protected encodeBatch(source: Tokens): Encoded {
    const { encoder } = this;
    if (encoder === null) throw new ArgumentError('encode: the model has no encoder');
    const batch = this.toBatch('source', source);
    return { hidden: encoder.forward(this.embedSource(batch.ids, batch.positions), batch), batch };
  }

  /** Every training pass drops other elements: one recorded has a seed of this name, which its runs alone draw. */
  protected beginPass(scalar = 'dropoutSeed'): void {
    const [draw, arena] = [() => this.#seeds.uint32(), this.device.arena];
    if (this.drops) this.randomness.seed = new Scalar(scalar, arena ? 0 : draw(), draw, arena);
  }

  /** @internal What its dropouts share, for parts that are added to it. */
  get dropoutSource(): Randomness {
    return this.randomness;
  }

  /** @internal Says that parts were added or removed, or switched on or off: what was recorded is no longer good. */
  partsChanged(): void {
    this.#dropouts = null;
    forgetDecoders(this);
  }

  /** True if a pass drops anything. */
  protected get drops(): boolean {
    this.#dropouts ??= this.modules().filter((part) => part instanceof Dropout);
    return this.#dropouts.some(({ options }) => options !== null);
  }

  #layers(): TransformerLayer[] {
    return [...(this.encoder?.layers ?? []), ...(this.decoder?.layers ?? [])];
  }

  #decoderOf(op: string, state: DecoderState): Stack {
    if (this.decoder === null) throw new ArgumentError(`${op}: the model has no decoder`);
    checkState(op, this, state);
    return this.decoder;
  }
}

let loaded: typeof import('../generate/generate.js') | undefined;

/** The generator, loaded when it is first called. To ask a loader each time takes up to 0.3 ms, a fifth of a short text. */
async function writing() {
  loaded ??= await import('../generate/generate.js');
  return loaded;
}

async function* streamed(
  model: Generative,
  input: Tokens,
  options: GenerateOptions,
): AsyncGenerator<TokenEvent, GenerateResult, void> {
  const { stream } = await writing();
  return yield* stream(model, input, options);
}
