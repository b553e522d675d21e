import { copied } from '../core/copied.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { Scalar } from '../core/operand.js';
import { orDispose } from '../core/or-dispose.js';
import { Random } from '../core/random.js';
import type { Tensor } from '../core/tensor.js';
import { generate, stream } from '../generate/generate.js';
import type { GenerateOptions, GenerateResult, TokenEvent } from '../generate/options.js';
import { type ScoreResult, score } from '../generate/score.js';
import { disposeSessions } from '../generate/session.js';
import { type AttentionMaps, observeAttention, observeHeads } from '../inspect/attention-maps.js';
import type { LoadOptions } from '../io/folder.js';
import { withAgreement } from '../nn/agreement.js';
import { withHeadDiversity } from '../nn/diversity.js';
import { Initializer } from '../nn/init.js';
import { DecoderState, type Memory } from '../nn/kv-cache.js';
import { Dropout, Embedding, Linear, type Randomness, TiedLinear } from '../nn/layers.js';
import { Module } from '../nn/module.js';
import { rotations, sinusoids } from '../nn/positions.js';
import { Decoder, Encoder, Stacks } from '../nn/stacks.js';
import { packed, TokenBatch, type Tokens } from '../nn/token-batch.js';
import { crossEntropy } from '../ops/cross-entropy.js';
import { gather, unpack } from '../ops/move.js';
import { resolveConfig, type TransformerConfig, type TransformerOptions } from './config.js';
import { cacheSizes, checkMemory, checkPrompts, checkState, type DecodingOptions } from './decoding.js';
import { inference } from './inference.js';
import {
  type ModelFiles,
  modelFromFiles,
  modelFromFolder,
  type SaveOptions,
  type Tokenizers,
  toFiles,
  writeModel,
} from './saved.js';
import { checkSides } from './sides.js';
import {
  countLabels,
  isTargetBatch,
  type LossOptions,
  resolveLossOptions,
  shiftedTargets,
  type TargetBatch,
  type TokenRows,
  tokenLabels,
} from './targets.js';

/** The stream of random numbers that dropout has, apart from the parameters' streams, which count up from 0. */
const DROPOUT = 2 ** 32 - 1;

/**
 * The Transformer (Vaswani et al. 2017, arXiv 1706.03762): encoder–decoder, encoder-only (`decoderLayers: 0`) or
 * decoder-only (`encoderLayers: 0`).
 *
 * A new model is in training mode; `eval()` turns dropout off. Its parameters live until `dispose()`.
 */
export class Transformer extends Module {
  readonly srcEmbed: Embedding | null;
  readonly tgtEmbed: Embedding | null;
  /** Trained positions, if there are any. */
  readonly srcPositions: Embedding | null;
  readonly tgtPositions: Embedding | null;
  readonly transformer: Stacks;
  /** From features to logits. */
  readonly generator: Linear | TiedLinear;
  readonly dropout: Dropout;
  readonly config: TransformerConfig;
  /** What it was trained with: saved and loaded together with it. */
  tokenizers: Tokenizers = {};
  readonly #sinusoids: Tensor | null;
  readonly #angles: Tensor | null;
  readonly #randomness: Randomness = { seed: 0, streams: 0 };
  #seeds: Random;

  /** Throws ArgumentError for options that make no model, OutOfMemoryError if it does not fit into the device. */
  constructor(
    readonly device: Device,
    options: TransformerOptions,
    /** @internal Leaves the parameters undefined. */
    blank = false,
  ) {
    super();
    const config = resolveConfig(options);
    const { dModel, encoderLayers, decoderLayers, sourceVocab, targetVocab } = config;
    const { tieEmbeddings, positions, maxLength, bias } = config;
    const init = new Initializer(device, config.seed, blank);
    this.#seeds = new Random(config.seed, DROPOUT);
    this.config = config;
    this.dropout = new Dropout(config.dropout, this.#randomness);
    const vectors = (rows: number) => new Embedding(init, rows, dModel);
    const { kind } = positions;
    const width = dModel / config.heads;
    try {
      this.#sinusoids =
        kind === 'sinusoidal' ? init.table(maxLength, dModel, () => sinusoids(maxLength, dModel, positions)) : null;
      this.#angles =
        kind === 'rotary' ? init.table(maxLength, 2 * width, () => rotations(maxLength, width, positions)) : null;
      this.srcEmbed = encoderLayers > 0 ? vectors(sourceVocab) : null;
      const sharesSource = tieEmbeddings === 'all' && this.srcEmbed !== null;
      this.tgtEmbed = decoderLayers === 0 ? null : sharesSource ? this.srcEmbed : vectors(targetVocab);
      this.srcPositions = kind === 'learned' && this.srcEmbed ? vectors(maxLength) : null;
      this.tgtPositions = kind === 'learned' && this.tgtEmbed ? vectors(maxLength) : null;
      const layers = { ...config, angles: this.#angles };
      this.transformer = new Stacks(
        encoderLayers > 0 ? new Encoder(init, this.#randomness, layers, encoderLayers) : null,
        decoderLayers > 0 ? new Decoder(init, this.#randomness, layers, decoderLayers, encoderLayers > 0) : null,
      );
      const shared = (this.tgtEmbed ?? this.srcEmbed) as Embedding;
      this.generator = tieEmbeddings
        ? new TiedLinear(init, shared.weight, bias)
        : new Linear(init, dModel, targetVocab, bias);
    } catch (error) {
      init.dispose();
      throw error;
    }
  }

  /**
   * Logits for every token: of an encoder–decoder `forward(source, target)`, the next target token's; encoder-only
   * `forward(source)`; decoder-only `forward(target)` (or `forward(null, target)`).
   *
   * Batches are rows of ids or an int32 tensor [B, T], padded at the end with `padId` or ragged; the result is then
   * [B, T, vocabulary], zero at padding. Or they are packed, `{ ids, lengths }`; the result is then [N, vocabulary].
   * Neither the form nor the other sequences make a difference to the bits of what one gives.
   *
   * Throws ShapeError, DTypeError, and ArgumentError if a source is given to a model without an encoder, a target to
   * one without a decoder, or one of them is missing. An id outside the vocabulary fails the run (CommandError).
   */
  forward(source: Tokens | null, target?: Tokens): Tensor {
    return this.device.scope(() => {
      this.#beginPass();
      const { features, batch } = this.#features('forward', source, target);
      const logits = this.generator.forward(features);
      return batch.time === null ? logits : unpack(logits, batch.lengths, batch.time);
    });
  }

  /**
   * The mean cross entropy of the next target token, given `source` and the tokens before it: decoder inputs are all
   * but the last token of each target, labels all but the first. Encoder-only: `target` has a label for each source
   * token and no others. Labels that are `ignoreIndex`, by default -100, are not learnt and do not count; padding at the
   * end of a target is no token, `padId` elsewhere is one like others. Decoder-only: `source` is null. The result is a
   * scalar, ready for `backward()`. Throws as `forward`, and ArgumentError for options that make no sense.
   */
  loss(source: Tokens | null, target: Tokens | TargetBatch, options: LossOptions = {}): Tensor {
    const { heads } = this.config;
    const { labelSmoothing, ignoreIndex, headDiversity, rDrop } = resolveLossOptions(options);
    if (headDiversity > 0 && this.gradientCheckpointing) {
      throw new ArgumentError('loss: headDiversity needs what gradientCheckpointing forgets; use one of them');
    }
    return this.device.scope(() => {
      this.#beginPass();
      const { decoder } = this.transformer;
      const shifted = decoder === null ? null : isTargetBatch(target) ? target : this.shift(target, 'loss');
      const pass = () => this.#features('loss', source, shifted?.input);
      const outputs: Tensor[] = [];
      const { features, batch } = headDiversity > 0 ? observeHeads(this.transformer, outputs, pass) : pass();
      const labels = shifted?.labels ?? tokenLabels(this.device, target, batch, ignoreIndex);
      const lossOf = (logits: Tensor) => crossEntropy(logits, labels, { labelSmoothing, ignoreIndex });
      const logits = this.generator.forward(features);
      let loss = lossOf(logits);
      if (rDrop > 0 && this.#drops) {
        this.#beginPass('dropoutSeed2');
        const again = this.generator.forward(pass().features);
        loss = withAgreement([loss, lossOf(again)], [logits, again], rDrop);
      }
      return headDiversity > 0 ? withHeadDiversity(loss, headDiversity, outputs, heads) : loss;
    });
  }

  /** How many labels `loss` of the same rows and options is the mean over. */
  countLabels(source: TokenRows | null, target: TokenRows, options: LossOptions = {}): number {
    const kind = this.transformer.decoder === null ? 'source tokens' : 'target tokens';
    const { ignoreIndex } = resolveLossOptions(options);
    return countLabels(kind, source, target, { padId: this.config.padId, ignoreIndex });
  }

  /**
   * Whether backward computes every layer once more instead of keeping what it needs: a third more work for a fraction
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
    return this.#batch('batch', tokens);
  }

  /** Uploads target sequences as `loss` uses them, each of two tokens at least. Throws as `forward`. */
  shift(target: Tokens, /** @internal */ op = 'shift'): TargetBatch {
    const { inputs, labels } = shiftedTargets(op, target, this.config.padId);
    const input = this.#batch(`${op}: target`, packed(inputs));
    return { input, labels: this.device.tensor(labels) };
  }

  /** The encoder's output for a source batch. Belongs to the scope it is called in. Throws as `forward`. */
  encode(source: Tokens): Memory {
    if (!(source instanceof TokenBatch)) {
      const batch = this.#batch('source', source); // outlives the scope, as part of the memory
      return orDispose(batch, () => this.encode(batch));
    }
    return this.device.scope(() => {
      this.#beginPass();
      return this.#encode(source);
    });
  }

  /**
   * Writes a target for each source, or goes on from each prompt of a decoder-only model (an empty one is its `bosId`):
   * greedily, by beam search, or by sampling. Inputs may differ in length, and no output depends on its neighbours. If
   * there are `tokenizers`, the target's begin and end stand for the config's `bosId` and `eosId`. Memory and programs
   * are kept for the next call with a batch like this one.
   *
   * The model runs off this thread, but for runs of up to 2 ms. Rejects with ArgumentError for impossible options,
   * SimdformerError where no next token can be chosen (scores are NaN, or all are forbidden), DisposedError if the model
   * is disposed of meanwhile, the reason of `signal`, and what `forward` throws.
   */
  generate(input: Tokens, options: GenerateOptions = {}): Promise<GenerateResult> {
    return generate(this, copied(input), copied(options));
  }

  /**
   * As `generate`, giving every token as soon as it is chosen; what the iterator returns at its end is the result.
   * Leaving the loop ends the generation. Without beams.
   */
  stream(input: Tokens, options: GenerateOptions = {}): AsyncGenerator<TokenEvent, GenerateResult, void> {
    return stream(this, copied(input), copied(options));
  }

  /**
   * The log-probability of every token of given targets, as `loss` takes them: the first one only begins it, and the
   * end counts if it is there. `source` is null for decoder-only models. Rejects with what `forward` throws.
   */
  score(source: Tokens | null, target: Tokens): Promise<ScoreResult> {
    return score(this, copied(source), copied(target));
  }

  /**
   * The attention probabilities of every layer for one batch: what each token looked at. Without dropout or gradients.
   * The tensors belong to the scope it is called in. Throws as `forward`.
   */
  attentionMaps(source: Tokens | null, target?: Tokens): AttentionMaps {
    return inference(this, () =>
      observeAttention(this.transformer, () => this.#features('attentionMaps', source, target)),
    );
  }

  /**
   * A state to decode with, one token at a time; see nn/kv-cache.ts. To be disposed of by the caller. Throws
   * ArgumentError, ShapeError if the sizes do not fit the model or the memory, OutOfMemoryError.
   */
  startDecoding(options: DecodingOptions = {}): DecoderState {
    const state = new DecoderState(this.device, cacheSizes(this.config, options));
    orDispose(state, () => this.restartDecoding(state, options.memory));
    return state;
  }

  /** Empties a state for another memory of as many sources. What was recorded stays good. Throws as `startDecoding`. */
  restartDecoding(state: DecoderState, memory?: Memory): void {
    const decoder = this.#decoder('restartDecoding', state);
    checkMemory('restartDecoding', this.config, state.sizes, memory);
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
    const decoder = this.#decoder('prefill', state);
    return inference(this, () => {
      const batch = this.#batch('prefill', prompts);
      checkPrompts(this.config, state, batch);
      const x = this.#embed(this.tgtEmbed, this.tgtPositions, batch.ids, batch.positions);
      const features = decoder.forward(x, batch, null, state);
      state.setLengths(Int32Array.from(batch.counts));
      return this.generator.forward(gather(features, this.device.tensor(batch.ends)));
    });
  }

  /**
   * Reads one more token of each sequence, `state.tokens`, and returns the logits of the next, [sequences, vocabulary].
   * Costs no more per token the longer the sequence, but for attention. Record it once and run it for every position.
   */
  step(state: DecoderState): Tensor {
    const decoder = this.#decoder('step', state);
    return inference(this, () => {
      state.advance();
      const x = this.#embed(this.tgtEmbed, this.tgtPositions, state.tokens, state.positions);
      return this.generator.forward(decoder.step(x, state));
    });
  }

  /**
   * Writes `config.json`, `model.safetensors` and the tokenizers to a folder, which is made if it is not there. Each
   * file is replaced whole, once all are written beside them; an error leaves what was there. Throws the file system's
   * errors, and ArgumentError for options that make no sense. In browsers, where there are no folders, use `toFiles`.
   */
  async save(folder: string | URL, options: SaveOptions = {}): Promise<void> {
    await writeModel(folder, this, options);
  }

  /**
   * Reads what `save` wrote, for evaluation: from a path in Node, from a URL anywhere; in browsers it may be relative
   * to the page. Throws FormatError, naming the file, if something is missing or damaged, FetchError if the network or
   * server fails, OutOfMemoryError if the device is too small.
   */
  static async load(device: Device, folder: string | URL, options?: LoadOptions): Promise<Transformer> {
    return modelFromFolder(folder, (sizes) => new Transformer(device, sizes, true), options);
  }

  /** What `save` writes, in memory, by name. */
  toFiles(options: SaveOptions = {}): Promise<ModelFiles> {
    return toFiles(this, options);
  }

  /** As `load`, from files by name, as bytes: fetched, or dropped on a page. */
  static fromFiles(device: Device, files: Readonly<Record<string, Uint8Array | Blob>>): Promise<Transformer> {
    return modelFromFiles(files, (sizes) => new Transformer(device, sizes, true));
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
    disposeSessions(this);
    super.dispose();
    this.#sinusoids?.dispose();
    this.#angles?.dispose();
  }

  #layers() {
    const { encoder, decoder } = this.transformer;
    return [...(encoder?.layers ?? []), ...(decoder?.layers ?? [])];
  }

  /** What the last layer makes of every token, [N, dModel], and the batch that says whose they are. */
  #features(op: string, first: Tokens | null, second?: Tokens | null): { features: Tensor; batch: TokenBatch } {
    const { encoder, decoder } = this.transformer;
    const [source, target] = encoder === null ? [second ? first : null, second ?? first] : [first, second];
    checkSides(op, this.transformer, source, target);
    const memory = encoder === null ? null : this.#encode(source as Tokens);
    if (decoder === null) {
      const { hidden, batch } = memory as Memory;
      return { features: hidden, batch };
    }
    const batch = this.#batch('target', target as Tokens);
    if (memory !== null && memory.batch.size !== batch.size) {
      throw new ShapeError(`${op}: ${memory.batch.size} source and ${batch.size} target sequences`);
    }
    const x = this.#embed(this.tgtEmbed, this.tgtPositions, batch.ids, batch.positions);
    return { features: decoder.forward(x, batch, memory), batch };
  }

  #encode(source: Tokens): Memory {
    const { encoder } = this.transformer;
    if (encoder === null) throw new ArgumentError('encode: the model has no encoder');
    const batch = this.#batch('source', source);
    const x = this.#embed(this.srcEmbed, this.srcPositions, batch.ids, batch.positions);
    return { hidden: encoder.forward(x, batch), batch };
  }

  /** scale · table[id] + positions[place], and dropout. */
  #embed(table: Embedding | null, learned: Embedding | null, ids: Tensor, places: Tensor): Tensor {
    const positions = learned?.weight ?? this.#sinusoids;
    const placed = { scale: this.config.embeddingScale, positions, positionIds: positions && places };
    return this.dropout.forward((table as Embedding).forward(ids, placed));
  }

  #batch(name: string, tokens: Tokens): TokenBatch {
    const { padId, maxLength } = this.config;
    const batch = TokenBatch.from(this.device, name, tokens, padId);
    if (batch.longest <= maxLength) return batch;
    if (batch !== tokens) batch.dispose();
    throw new ShapeError(`${name}: ${batch.longest} tokens, but the model's maxLength is ${maxLength}`);
  }

  /** Every training pass drops other elements: one recorded has a seed of this name, which its runs alone draw. */
  #beginPass(scalar = 'dropoutSeed'): void {
    const [draw, arena] = [() => this.#seeds.uint32(), this.device.arena];
    if (this.#drops) this.#randomness.seed = new Scalar(scalar, arena ? 0 : draw(), draw, arena);
  }

  get #drops(): boolean {
    return this.config.dropout > 0 && (this.training || this.modules().some(({ training }) => training));
  }

  #decoder(op: string, state: DecoderState): Decoder {
    const { decoder } = this.transformer;
    if (decoder === null) throw new ArgumentError(`${op}: the model has no decoder`);
    checkState(op, this.config, state);
    return decoder;
  }
}
