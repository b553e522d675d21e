// The common part of all models: encoding, generating by steps, and inspection.

import { copied } from '../core/copied.js';
import type { Device } from '../core/device.js';
import { ArgumentError, DisposedError, ShapeError } from '../core/errors.js';
import { Scalar } from '../core/operand.js';
import { orDispose } from '../core/or-dispose.js';
import { Random } from '../core/random.js';
import { atOnce, eachWithin } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import type { GenerateOptions, GenerateResult, TokenEvent } from '../generate/generate-options.js';
import type { DecodingOptions, ExtendOptions, Generative } from '../generate/generative.js';
import { disposeDecoders, forgetDecoders } from '../generate/model-decoders.js';
import { type AttentionMaps, type AttentionsByKind, observeAttention } from '../inspect/attention-maps.js';
import { DecoderState, type Memory } from '../nn/decoder-state.js';
import { Dropout, type Randomness } from '../nn/dropout.js';
import type { Encoder } from '../nn/encoder-decoder.js';
import type { ExtendedSequence, Extension } from '../nn/extension.js';
import type { ImageEffects } from '../nn/image-effects.js';
import type { TransformerLayer } from '../nn/layer.js';
import { inference, inferenceInParts, Module } from '../nn/module.js';
import type { PositionShifts } from '../nn/position-shifts.js';
import { RotaryEmbedding } from '../nn/rotary-embedding.js';
import type { Sequences } from '../nn/sequences.js';
import { Stack } from '../nn/stack.js';
import { TokenBatch, type Tokens } from '../nn/token-batch.js';
import type { CacheType } from '../ops/kv-cache.js';
import { gather } from '../ops/move.js';
import { cacheSizes, checkExtension, checkMemory, checkPrompts, checkState } from './decoding.js';

/** Random stream of dropout. Streams of parameters count up from 0. */
const DROPOUT = 2 ** 32 - 1;

/** An encoder's output for tokens. */
export interface Encoded extends Memory {
  readonly batch: TokenBatch;
}

/**
 * A model of tokens. A family defines its encoder, decoder or both, the embedding of tokens, and the logits of
 * features.
 */
export abstract class Model extends Module implements Generative {
  abstract readonly encoder: Encoder | null;
  abstract readonly decoder: Stack | null;
  abstract readonly vocabSize: number;
  abstract readonly maxLength: number;
  abstract readonly startId: number | null;
  abstract readonly endIds: readonly number[];
  abstract readonly padId: number | null;
  /** Type of keys and values while the model generates, unless a call sets another one. */
  cacheType: CacheType = 'float32';
  /** The state that all dropouts of the model share. */
  protected readonly randomness: Randomness;
  #seeds: Random;
  /** Number of times that parts were added, removed or switched. */
  structureVersion = 0;
  #dropouts: Dropout[] | null = null;
  #isDisposed = false;
  #rotaries: RotaryEmbedding[] | null = null;

  constructor(
    readonly device: Device,
    seed = 0,
    randomness: Randomness = { seed: 0, streams: 0 },
  ) {
    super();
    this.randomness = randomness;
    this.#seeds = new Random(seed, DROPOUT);
  }

  /** Embeddings of source tokens, float32 [N, dModel]. `ids` and `positions` are int32 [N]. */
  protected abstract embedSource(ids: Tensor, positions: Tensor): Tensor;
  /** Embeddings of target tokens, float32 [N, dModel]. `ids` and `positions` are int32 [N]. */
  protected abstract embedTarget(ids: Tensor, positions: Tensor): Tensor;
  /** Logits of features, float32 [N, vocabSize]. */
  abstract logitsOf(features: Tensor): Tensor;

  /** The encoder's output for a source batch. Belongs to the current scope. Throws as `forward`. */
  encode(source: Tokens): Memory {
    if (!(source instanceof TokenBatch)) {
      const limit = this.encoder ? 'maxSourceLength' : 'maxLength'; // without an encoder, `encodeBatch` refuses
      const batch = this.toBatch('source', source, limit); // part of the memory, so it outlives the scope
      return orDispose(batch, () => this.encode(batch));
    }
    return this.device.scope(() => {
      this.beginPass();
      return this.encodeBatch(source);
    });
  }

  /**
   * Attention probabilities of every layer for packed or ragged sequences. `source` is null for decoders alone; for
   * models of images or audio it is a tensor of `pixelValues` or `inputFeatures`. `target` is the input of decoders.
   * Runs without gradients. The tensors belong to the current scope. Throws as `forward`.
   */
  attentionMaps(source: Tokens | null, target?: Tokens): AttentionMaps {
    return inference(this, () =>
      observeAttention(this.attentions, () => this.runPass('attentionMaps', source, target)),
    );
  }

  /** The pass that `trace` runs; see `Traceable`. */
  abstract runPass(op: string, source: Tokens | null, target?: Tokens): Tensor;

  /** @internal Same as `encode`, yielding after each layer. The caller runs it in a scope. */
  *encodeInParts(source: Tokens): Generator<unknown, Memory> {
    this.beginPass();
    return yield* this.encodeBatchInParts(source);
  }

  /**
   * Writes a target for each source, or continues each prompt of a decoder-only model; an empty prompt means the start
   * token. It uses greedy search, beam search or sampling. Inputs may differ in length. No output depends on the
   * other inputs, except with `cropContext`. Memory and programs are kept for the next call with a similar batch.
   *
   * ```ts
   * const { sequences } = await model.generate([ids], { maxNewTokens: 32, numBeams: 4 });
   * ```
   *
   * Calls of a decoder-only model that overlap in time form one batch; see docs/generation.md.
   *
   * The model runs off this thread, except for runs of up to 2 ms. Rejects with ArgumentError for invalid options, and
   * NonFiniteError if scores are NaN or infinite. Rejects with SimdformerError if all tokens are forbidden,
   * DisposedError if the model is disposed of meanwhile, the reason of `signal`, and the errors of `forward`.
   */
  async generate(input: Tokens, options: GenerateOptions = {}): Promise<GenerateResult> {
    const [inputs, generateOptions] = [copied(input), copied(options)];
    const { generate } = await writing();
    return generate(this, inputs, generateOptions);
  }

  /**
   * Generates like `generate`, but yields every token as soon as it is chosen. The iterator returns the result. Leaving
   * the loop ends the generation. Not with beams.
   */
  stream(input: Tokens, options: GenerateOptions = {}): AsyncGenerator<TokenEvent, GenerateResult, void> {
    return streamed(this, copied(input), copied(options));
  }

  /**
   * Makes a state for decoding, one token at a time; see nn/decoder-state.ts. The caller disposes of it. Throws
   * ArgumentError or ShapeError if the sizes do not fit the model or the memory, and OutOfMemoryError.
   */
  startDecoding(options: DecodingOptions = {}): DecoderState {
    const sizes = cacheSizes(this, options);
    // Before anything is queued, writes go straight into the heap, and the queue need not grow for them.
    for (const rotary of this.#rotaryParts) rotary.reserve(sizes.textLength ?? sizes.capacity);
    const state = new DecoderState(this.device, sizes);
    orDispose(state, () => this.restartDecoding(state, options.memory));
    return state;
  }

  /**
   * Makes the data that states for texts of `length` tokens share, such as tables of positions. Yields after each part.
   */
  *prepareInParts(length: number): Generator<undefined, void> {
    for (const rotary of this.#rotaryParts) yield* rotary.reserveInParts(length);
  }

  /**
   * Returns the same text for lengths of prompts that rotate alike. It differs only with scaling by dynamic NTK or
   * longrope (`RotaryScaling`). A generated token rotates like a prompt that ends with it.
   */
  rotaryKey(promptLength: number): string {
    return this.#rotaryParts.map((rotary) => rotary.tableKey(promptLength)).join();
  }

  get #rotaryParts(): readonly RotaryEmbedding[] {
    this.#rotaries ??= [...new Set(this.decoder?.modules())].filter((part) => part instanceof RotaryEmbedding);
    return this.#rotaries;
  }

  /**
   * Empties a state for another memory with as many sources. Recorded programs stay valid. Throws as `startDecoding`.
   */
  restartDecoding(state: DecoderState, memory?: Memory): void {
    const decoder = this.#decoderOf('restartDecoding', state);
    checkMemory('restartDecoding', this, state.sizes, memory);
    inference(this, () => {
      state.setLengths(new Int32Array(state.sequences));
      if (memory) decoder.cacheMemory(memory, state);
    });
  }

  /**
   * Reads one prompt per sequence of a fresh state in one pass and returns the logits after its last token, [sequences,
   * vocabSize]. For decoder-only models; a prefix of a translation is read by steps.
   */
  prefill(state: DecoderState, prompts: Tokens): Tensor {
    return atOnce(this.prefillInParts(state, prompts));
  }

  /** Same as `prefill`, but yields after each layer, where the caller can pause. */
  prefillInParts(state: DecoderState, prompts: Tokens): Generator<undefined, Tensor> {
    return inferenceInParts(this, this.#prefill(state, prompts));
  }

  *#prefill(state: DecoderState, prompts: Tokens): Generator<unknown, Tensor> {
    const decoder = this.#decoderOf('prefill', state);
    const batch = this.toBatch('prefill', prompts);
    checkPrompts(this, state, batch);
    if (this.#mustExtend(state)) return (yield* this.#extend(state, batch, { promptLength: batch.longest })) as Tensor;
    const x = this.embedTarget(batch.ids, batch.positions);
    const features = yield* decoder.forwardInParts(x, batch, { state });
    state.setLengths(Int32Array.from(batch.counts));
    return this.logitsOf(gather(features, this.device.tensor(batch.ends)));
  }

  /** Later steps attend to packed keys, go on from recurrent states, and rotate by positions that images have moved. */
  #mustExtend({ sizes: { cacheType }, isRecurrent }: DecoderState): boolean {
    return cacheType !== 'float32' || isRecurrent || this.readsImages;
  }

  get readsImages(): boolean {
    return false;
  }

  /** The class of position shifts, if images move the rotary positions of later tokens. */
  get positionShifts(): typeof PositionShifts | null {
    return null;
  }

  /** The input of the decoder's layers for new tokens at `positions`, int32 [N]. */
  protected embedExtension(
    batch: TokenBatch,
    positions: Tensor,
    _into: { parts: readonly ExtendedSequence[]; state: DecoderState },
  ): { x: Tensor; rotations: Tensor | null; imageEffects: ImageEffects | null } {
    return { x: this.embedTarget(batch.ids, positions), rotations: null, imageEffects: null };
  }

  /**
   * Appends tokens to some sequences of a state, and returns the logits that `logits` selects; null for 'none'. The
   * other sequences stay unchanged. A text gives the bits of `prefill` for any chunking, if all chunks have the same
   * `promptLength`. With `logits: 'every'` it gives those of single steps. For decoder-only models. Throws
   * ArgumentError for invalid options, ShapeError if there is no room, and the errors of `forward`.
   */
  extend(state: DecoderState, tokens: Tokens, options: ExtendOptions & { logits: 'none' }): null;
  extend(
    state: DecoderState,
    tokens: Tokens,
    options?: ExtendOptions & { logits?: 'last' | 'every' | undefined },
  ): Tensor;
  extend(state: DecoderState, tokens: Tokens, options: ExtendOptions = {}): Tensor | null {
    return atOnce(this.extendInParts(state, tokens, options));
  }

  /** Same as `extend`, but yields after each layer, where the caller can pause. */
  extendInParts(state: DecoderState, tokens: Tokens, options: ExtendOptions = {}): Generator<undefined, Tensor | null> {
    return inferenceInParts(this, this.#extend(state, tokens, options));
  }

  *#extend(state: DecoderState, tokens: Tokens, options: ExtendOptions): Generator<unknown, Tensor | null> {
    const decoder = this.#decoderOf('extend', state);
    const batch = this.toBatch('extend', tokens);
    const { parts, logits, onFeatures, promptLength } = checkExtension(this, state, batch, options);
    const all = parts.flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => start + i));
    const positions = this.device.tensor(Int32Array.from(all));
    const asSteps = logits === 'every';
    const { x, rotations, imageEffects } = this.embedExtension(batch, positions, { parts, state });
    const extension: Extension = {
      positions: rotations ?? positions,
      parts,
      asSteps,
      stateSlots: state.slotsFor({ parts, asSteps }),
      promptLength,
      imageEffects,
    };
    const features = yield* decoder.extendInParts(x, extension, state);
    for (const { sequence, start, count } of parts) state.setLength(sequence, start + count);
    onFeatures?.(features);
    if (logits === 'none') return null;
    return this.logitsOf(asSteps ? features : gather(features, this.device.tensor(batch.ends)));
  }

  /**
   * Reads one more token of each sequence, `state.tokens`, and returns the logits of the next, [sequences, vocabSize].
   * Only the cost of attention grows with the length. Record it once and run it for every position.
   */
  step(state: DecoderState): Tensor {
    return atOnce(this.stepInParts(state));
  }

  /** Same as `step`, but yields the output of each layer, the only tensor that the next part reads. */
  stepInParts(state: DecoderState): Generator<Tensor, Tensor> {
    return eachWithin((part) => inference(this, part), this.#step(state));
  }

  *#step(state: DecoderState): Generator<Tensor, Tensor> {
    const decoder = this.#decoderOf('step', state);
    state.advance();
    return this.logitsOf(yield* decoder.stepInParts(this.embedTarget(state.tokens, state.positions), state));
  }

  /** Maximum length of a source in tokens; 0 if the model reads none. */
  get maxSourceLength(): number {
    return this.encoder ? this.maxLength : 0;
  }

  /** The attention of all layers by kind. */
  get attentions(): AttentionsByKind {
    const { encoder, decoder } = this;
    return {
      encoder: encoder?.layers.flatMap((layer) => layer.selfAttentions) ?? [],
      decoder: decoder?.layers.flatMap((layer) => layer.selfAttentions) ?? [],
      cross: decoder?.layers.flatMap((layer) => layer.multiheadAttn ?? []) ?? [],
    };
  }

  /**
   * True if backward computes every layer again, which saves most of the memory for a third more work. Results are
   * equal, bit for bit. Default: false.
   */
  get gradientCheckpointing(): boolean {
    return this.#layers().some((layer) => layer.recomputes);
  }

  set gradientCheckpointing(on: boolean) {
    for (const layer of this.#layers()) layer.recomputes = on;
  }

  /** Uploads a batch of source or target sequences for any number of calls. Throws as `forward`. */
  batch(tokens: Tokens): TokenBatch {
    return this.toBatch('batch', tokens);
  }

  /** Sets the seed of dropout, a non-negative integer. Equal seeds drop equal elements. */
  seedDropout(seed: number): void {
    this.#seeds = new Random(seed, DROPOUT);
  }

  /**
   * Frees the parameters and the memory of generation. Running generations and streams end with DisposedError at their
   * next step.
   */
  override dispose(): void {
    this.#isDisposed = true;
    disposeDecoders(this);
    super.dispose();
  }

  protected toBatch(name: string, tokens: Tokens, limit: 'maxLength' | 'maxSourceLength' = 'maxLength'): TokenBatch {
    this.assertUsable();
    const batch = TokenBatch.from(this.device, name, tokens, this.padId);
    if (batch.longest <= this[limit]) return batch;
    if (batch !== tokens) batch.dispose();
    throw new ShapeError(`${name}: ${batch.longest} tokens, but the model's ${limit} is ${this[limit]}`);
  }

  protected encodeBatch(source: Tokens): Encoded {
    return atOnce(this.encodeBatchInParts(source));
  }

  /** Same as `encodeBatch`, yielding after each layer. */
  protected *encodeBatchInParts(source: Tokens): Generator<unknown, Encoded> {
    const { encoder } = this;
    if (encoder === null) throw new ArgumentError('encode: the model has no encoder');
    if (!(encoder instanceof Stack)) throw new ArgumentError('encode: the encoder reads no tokens');
    const batch = this.toBatch('source', source, 'maxSourceLength');
    const x = this.embedSource(batch.ids, batch.positions);
    return { hidden: yield* encoder.forwardInParts(x, this.sourceOf(batch)), batch };
  }

  /** A source as the encoder's layers take it. */
  protected sourceOf(batch: TokenBatch): Sequences {
    return batch;
  }

  /** Throws DisposedError if the model was disposed of, and DeviceError if its device was. */
  protected assertUsable(): void {
    if (this.#isDisposed) throw new DisposedError('the model has already been disposed: load or create it again');
    this.device.assertOpen('model');
  }

  /** Each training pass drops other elements. A recorded pass has a seed of this name, which only its runs draw. */
  protected beginPass(scalar = 'dropoutSeed'): void {
    this.assertUsable();
    const [draw, arena] = [() => this.#seeds.uint32(), this.device.arena];
    if (this.usesDropout) this.randomness.seed = new Scalar(scalar, arena ? 0 : draw(), draw, arena);
  }

  /** Runs a pass after `beginPass` with that seed. During its pauses, another pass may set another seed. */
  protected *withPassSeed<T>(parts: Generator<unknown, T>): Generator<unknown, T> {
    const { seed } = this.randomness;
    const seeded = <Part>(part: () => Part) => {
      this.randomness.seed = seed;
      return part();
    };
    return yield* eachWithin(seeded, parts);
  }

  /** @internal Random numbers of its dropouts, for parts that are added to it. */
  get dropoutSource(): Randomness {
    return this.randomness;
  }

  /** @internal Reports that parts were added, removed or switched. Recorded programs are then invalid. */
  partsChanged(): void {
    this.structureVersion++;
    this.#dropouts = null;
    forgetDecoders(this);
  }

  /** True if a training pass drops anything. */
  protected get usesDropout(): boolean {
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

/**
 * The generator, loaded at its first use. Each dynamic import takes up to 0.3 ms, a fifth of the time of a short text.
 */
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
