import { argmax } from '../../core/argmax.js';
import { checkKnown, describeValue } from '../../core/check.js';
import { ArgumentError, FormatError, ShapeError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { BatchNorm } from '../../nn/batch-norm.js';
import { ConformerLayer, ConvolutionModule } from '../../nn/conformer.js';
import { Conv2d } from '../../nn/conv.js';
import type { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { FrameAttention } from '../../nn/frame-attention.js';
import { inferenceAsync } from '../../nn/inference-async.js';
import type { Initializer } from '../../nn/init.js';
import { Linear } from '../../nn/linear.js';
import { Lstm, type LstmState } from '../../nn/lstm.js';
import { inference, Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { PointwiseConv } from '../../nn/pointwise-conv.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { rowsOf, TokenBatch } from '../../nn/token-batch.js';
import { type Activation, activate, relu } from '../../ops/activation.js';
import { add, mul, scale } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { permute, slice } from '../../ops/move.js';
import { activationOf, dropoutOf, layerDropOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ForwardOptions, ModelInputs, ModelOutput, Rows } from '../inputs.js';
import { IGNORED } from '../losses.js';
import { type Json, ModelConfig } from '../model-config.js';
import { checkHead, PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { SoundModel } from '../sound-model.js';
import { rnntLoss, tdtLoss } from '../transducer-loss.js';

/** A depthwise convolution, then a pointwise one, which mixes channels. */
class SeparableConv extends Module {
  readonly depthwise: Conv2d;
  readonly pointwise: Conv2d;

  constructor(init: Initializer, channels: number, kernel: number, options: { stride: number; padding: number }) {
    super();
    this.depthwise = new Conv2d(init, {
      inputs: channels,
      outputs: channels,
      kernel: [kernel, kernel],
      ...options,
      groups: channels,
      channelsLast: true,
    });
    this.pointwise = new Conv2d(init, { inputs: channels, outputs: channels, kernel: [1, 1], channelsLast: true });
  }
}

/** Strided convolutions over time and frequency. Each divides both by the stride; padding counts as zeros. */
class Subsampling extends Module {
  readonly first: Conv2d;
  readonly separable: readonly SeparableConv[];
  readonly linear: Linear;
  readonly #sizes: { readonly kernel: number; readonly stride: number; readonly padding: number };

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const channels = config.size('subsampling_conv_channels');
    const [kernel, stride] = ['kernel_size', 'stride'].map((name) => config.size(`subsampling_conv_${name}`)) as [
      number,
      number,
    ];
    const padding = Math.floor((kernel - 1) / 2);
    this.#sizes = { kernel, stride, padding };
    const layers = Math.trunc(Math.log2(config.size('subsampling_factor')));
    const options = { stride, padding };
    this.first = new Conv2d(init, {
      inputs: 1,
      outputs: channels,
      kernel: [kernel, kernel],
      ...options,
      channelsLast: true,
    });
    this.separable = Array.from({ length: layers - 1 }, () => new SeparableConv(init, channels, kernel, options));
    const rows = Math.floor(config.size('num_mel_bins') / stride ** layers);
    this.linear = new Linear(init, channels * rows, config.size('hidden_size'));
  }

  #through(count: number): number {
    const { kernel, stride, padding } = this.#sizes;
    return Math.floor((count + 2 * padding - kernel) / stride) + 1;
  }

  /** Returns the number of frames for a number of columns of the spectrogram. */
  framesOf(columns: number): number {
    let frames = this.#through(columns);
    for (const _ of this.separable) frames = this.#through(frames);
    return frames;
  }

  /**
   * float32 [B, columns, bins] → [B, frames, dModel]. `counts`: number of columns of each item that are not padding;
   * null if all are.
   */
  forward(x: Tensor, counts: readonly number[] | null): Tensor {
    let frameCounts = counts?.map((count) => this.#through(count)) ?? null;
    let y = relu(masked(this.first.forward(x.reshape(...x.shape, 1)), frameCounts)); // [B, T, F, channels]
    for (const { depthwise, pointwise } of this.separable) {
      frameCounts = frameCounts?.map((count) => this.#through(count)) ?? null;
      y = relu(masked(pointwise.forward(masked(depthwise.forward(y), frameCounts)), frameCounts));
    }
    const [size, frames] = y.shape as [number, number, number, number];
    return this.linear.forward(contiguous(permute(y, [0, 1, 3, 2])).reshape(size, frames, -1));
  }
}

/** Sets the frames of item b from `counts[b]` on to zero. `x`: [B, T, F, channels] (frames, frequencies). */
function masked(x: Tensor, counts: readonly number[] | null): Tensor {
  const [size, time] = x.shape as [number, number];
  if (counts === null || counts.every((count) => count >= time)) return x;
  const marks = counts.flatMap((count) => Array.from({ length: time }, (_, i) => (i < count ? 1 : 0)));
  return mul(x, x.device.tensor(Float32Array.from(marks), [size, time, 1, 1]));
}

/**
 * Parakeet's encoder, the Fast Conformer (Rekesh et al. 2023, arXiv 2305.05084). Strided convolutions turn eight
 * columns of a mel spectrogram into one frame of 80 ms. A Conformer with relative positions encodes the frames.
 */
abstract class ParakeetEncoder extends SoundModel {
  readonly subsampling: Subsampling;
  readonly startDropout: Dropout;
  readonly positionDropout: Dropout;
  readonly encoder: Stack;
  readonly endNorm = null;
  readonly #bins: number;
  readonly #scale: number;

  constructor(context: FamilyContext) {
    super(context);
    const { init } = context;
    const config = new ModelConfig(context.config.object('encoder_config'));
    const dModel = config.size('hidden_size');
    this.#bins = config.size('num_mel_bins');
    this.#scale = config.flag('scale_input') ? Math.sqrt(dModel) : 1;
    this.subsampling = new Subsampling(init, config);
    this.startDropout = dropoutOf(config, 'dropout', this.randomness);
    this.positionDropout = dropoutOf(config, 'dropout_positions', this.randomness);
    const activation = activationOf(config.text('hidden_act'));
    const bias = config.flag('attention_bias');
    const norm = () => new LayerNorm(init, dModel);
    const taps = config.size('conv_kernel_size');
    if (taps % 2 === 0) throw new FormatError(`config.json: conv_kernel_size is ${taps}, expected an odd number`);
    const layer = () =>
      new ConformerLayer({
        selfAttn: () =>
          new FrameAttention(init, {
            dModel,
            heads: config.size('num_attention_heads'),
            bias,
            headSize: config.sizeOrNull('head_dim') ?? undefined,
            dropout: dropoutOf(config, 'attention_dropout', this.randomness),
            distances: (table) => this.positionDropout.forward(table),
          }),
        feedForward: () =>
          new FeedForward(init, {
            dModel,
            activation,
            bias,
            dFF: config.size('intermediate_size'),
            dropout: dropoutOf(config, 'activation_dropout', this.randomness),
          }),
        convolution: () =>
          new ConvolutionModule(init, {
            dModel,
            taps,
            activation,
            ahead: (taps - 1) / 2,
            bias: config.flag('convolution_bias'),
            norm: () => new BatchNorm(init, dModel, { channelsLast: true }),
          }),
        norm,
        randomness: this.randomness,
      });
    const layerDrop = layerDropOf(config, 'layerdrop', this.randomness);
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null, { layerDrop });
  }

  override get featureWidth(): number {
    return this.#bins;
  }

  override framesOf(columns: number): number {
    return this.subsampling.framesOf(columns);
  }

  protected override embedSound(values: Tensor, batch: Sequences, counts: readonly number[] | null): Tensor {
    const x = this.subsampling.forward(values, counts).reshape(batch.total, -1);
    return this.startDropout.forward(scale(x, this.#scale));
  }

  protected override get stateNames(): StateNames {
    const path = 'encoder.layers.*';
    const layer = path; // checkpoints have the same path
    const convs = 'encoder.subsampling.layers';
    const { length } = this.subsampling.separable;
    const separable = Array.from({ length }, (_, i): [string, string][] => [
      [`subsampling.separable.${i}.depthwise`, `${convs}.${3 * i + 2}`],
      [`subsampling.separable.${i}.pointwise`, `${convs}.${3 * i + 3}`],
    ]);
    const encoder = new ModelConfig(this.settings.object('encoder_config'));
    const heads = [encoder.size('num_attention_heads')];
    return {
      'subsampling.first': `${convs}.0`,
      ...Object.fromEntries(separable.flat()),
      'subsampling.linear': 'encoder.subsampling.linear',
      [`${path}.first_norm`]: `${layer}.norm_feed_forward1`,
      [`${path}.first_feed_forward`]: `${layer}.feed_forward1`,
      [`${path}.norm1`]: `${layer}.norm_self_att`,
      [`${path}.self_attn.qkv`]: ['q', 'k', 'v'].map((name) => `${layer}.self_attn.${name}_proj`),
      [`${path}.self_attn.out_proj`]: `${layer}.self_attn.o_proj`,
      [`${path}.self_attn.relative_keys`]: `${layer}.self_attn.relative_k_proj`,
      [`${path}.self_attn.content_bias`]: { name: `${layer}.self_attn.bias_u`, leading: heads },
      [`${path}.self_attn.distance_bias`]: { name: `${layer}.self_attn.bias_v`, leading: heads },
      [`${path}.convolution_norm`]: `${layer}.norm_conv`,
      [`${path}.convolution.pointwise1`]: `${layer}.conv.pointwise_conv1`,
      [`${path}.convolution.depthwise`]: `${layer}.conv.depthwise_conv`,
      [`${path}.convolution.norm`]: `${layer}.conv.norm`,
      [`${path}.convolution.pointwise2`]: `${layer}.conv.pointwise_conv2`,
      [`${path}.norm2`]: `${layer}.norm_feed_forward2`,
      [`${path}.feed_forward`]: `${layer}.feed_forward2`,
      [`${path}.end_norm`]: `${layer}.norm_out`,
    };
  }
}

/** Parakeet with a CTC head: each frame predicts a token or the blank. */
export class ParakeetCtc extends ParakeetEncoder {
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    checkHead(context, ['ctc']);
    const { init, config } = context;
    const { hidden_size: dModel } = config.object('encoder_config');
    this.head = new PredictionHead({
      pick: 'tokens',
      out: new PointwiseConv(init, dModel as number, config.size('vocab_size')),
    });
  }

  protected override get stateNames(): StateNames {
    return { ...super.stateNames, 'head.out': 'ctc_head' };
  }
}

/** Output of a transducer: the start token, then tokens and blanks, and the number of frames that each one takes. */
export interface TransducerText {
  readonly sequence: number[];
  readonly durations: number[];
}

/** The prediction network: an LSTM that reads the tokens so far. */
class Predictor extends Module {
  readonly embedding: Embedding;
  readonly lstm: Lstm;
  readonly projector: Linear;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const features = config.size('decoder_hidden_size');
    this.embedding = new Embedding(init, config.size('vocab_size'), features);
    this.lstm = new Lstm(init, features, features, config.size('num_decoder_layers'));
    this.projector = new Linear(init, features, features);
  }

  /** `ids`: int32 [B · T]. Returns [B, T, features]. */
  forward(ids: Tensor, size: number, states?: readonly LstmState[]): { outputs: Tensor; states: LstmState[] } {
    const rows = this.embedding.forward(ids).reshape(size, -1, this.lstm.features);
    const read = this.lstm.forward(rows, states);
    return { outputs: this.projector.forward(read.outputs), states: read.states };
  }
}

/**
 * Parakeet as a transducer: a joint network reads a frame and the tokens so far, and predicts the next token, or the
 * blank. TDT (Xu et al. 2023, arXiv 2304.06795) also predicts how many frames the token takes; RNN-T (Graves 2012,
 * arXiv
 * 1211.3711) takes one frame with each blank.
 */
export class ParakeetTransducer extends ParakeetEncoder {
  readonly encoderProjector: Linear;
  readonly predictor: Predictor;
  readonly joint: Linear;
  readonly head = null;
  readonly #activation: Activation;
  readonly #durations: readonly number[];

  constructor(context: FamilyContext) {
    super(context);
    checkHead(context, ['transducer']);
    const { init, config } = context;
    const { hidden_size: dModel } = config.object('encoder_config');
    const features = config.size('decoder_hidden_size');
    this.#activation = activationOf(config.text('hidden_act'));
    this.#durations = durationsOf(config);
    this.encoderProjector = new Linear(init, dModel as number, features);
    this.predictor = new Predictor(init, config);
    this.joint = new Linear(init, features, config.size('vocab_size') + this.#durations.length);
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['inputFeatures', 'attentionMask', 'decoderInputIds', 'labels'];
  }

  protected override *runInParts(inputs: ModelInputs, options: ForwardOptions): Generator<unknown, ModelOutput> {
    const hiddenStates: Tensor[] | undefined = options.hiddenStates ? [] : undefined;
    const { x, batch } = yield* this.hear(inputs, hiddenStates);
    const { size, longest } = batch;
    const rows = (y: Tensor) => y.reshape(size, longest, -1); // [B, frames, d]
    const frames = rows(this.encoderProjector.forward(x));
    const output: ModelOutput = { lastHiddenState: rows(x), poolerOutput: frames };
    if (hiddenStates) output.hiddenStates = hiddenStates.map(rows);
    const labels = inputs.labels && (options.loss ?? true) ? this.#labelsOf(inputs.labels as Rows, size) : null;
    const decoderInputIds = inputs.decoderInputIds ?? (labels && this.#inputsFor(labels));
    if (!decoderInputIds) return output;
    if (decoderInputIds instanceof TokenBatch)
      throw new ArgumentError('forward: decoderInputIds are packed, expected rows of ids');
    const { rows: ids, time } = rowsOf('decoderInputIds', decoderInputIds, null);
    if (ids.length !== size || time === null || ids.some(({ length }) => length !== time))
      throw new ShapeError(`forward: decoderInputIds has ${ids.length} rows, expected ${size} of one length`);
    const tokens = this.device.tensor(Int32Array.from(ids.flatMap((row) => Array.from(row))));
    const { outputs } = this.predictor.forward(tokens, size);
    const logits = this.#join(frames.reshape(size, longest, 1, -1), outputs.reshape(size, 1, time, -1));
    output.logits = logits;
    if (labels) output.loss = this.#loss(logits, labels, countsOf(batch));
    return output;
  }

  /**
   * Returns the labels of each sound, without padding: the padding token of TDT, and the blank of RNN-T, as in
   * transformers.
   */
  #labelsOf(labels: Rows, size: number): number[][] {
    const padding = this.settings.size(this.#durations.length > 0 ? 'pad_token_id' : 'blank_token_id');
    const rows = rowsOf('labels', labels, null).rows.map((row) =>
      Array.from(row).filter((id) => id !== IGNORED && id !== padding),
    );
    if (rows.length !== size) throw new ShapeError(`forward: labels has ${rows.length} rows, expected ${size}`);
    const vocabulary = this.settings.size('vocab_size');
    const wrong = rows.flat().find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabulary));
    if (wrong !== undefined)
      throw new ArgumentError(`forward: labels have the id ${wrong}, expected integers from 0 to ${vocabulary - 1}`);
    return rows;
  }

  /** Returns what the predictor reads: the blank, then the labels, then blanks as padding. */
  #inputsFor(labels: readonly (readonly number[])[]): number[][] {
    const longest = labels.reduce((max, { length }) => Math.max(max, length), 0);
    const blank = this.startId;
    return labels.map((row) => [blank, ...row, ...Array<number>(longest - row.length).fill(blank)]);
  }

  /** The loss of logits [B, frames, 1 + labels, vocabulary and durations]. */
  #loss(logits: Tensor, labels: readonly (readonly number[])[], frames: readonly number[]): Tensor {
    const [, , targetLength, width] = logits.shape as [number, number, number, number];
    const longest = labels.reduce((max, { length }) => Math.max(max, length), 0);
    if (longest >= targetLength)
      throw new ShapeError(
        `forward: decoderInputIds has ${targetLength} columns, expected ${longest + 1} for these labels`,
      );
    const targets = { labels, frames, blank: this.startId };
    const vocabulary = this.settings.size('vocab_size');
    if (this.#durations.length === 0) return rnntLoss(logits, targets);
    const part = (from: number, to: number) => slice(logits, 3, from, to);
    return tdtLoss(part(0, vocabulary), part(vocabulary, width), targets, this.#durations);
  }

  /** Returns the logits of tokens and durations. `frames` and `outputs` of the predictor broadcast. */
  #join(frames: Tensor, outputs: Tensor): Tensor {
    return this.joint.forward(activate('joint', add(frames, outputs), this.#activation));
  }

  /**
   * Transcribes sounds one by one. Chooses the most likely token at each step (greedy search). Rejects with the errors
   * of `forward`.
   *
   * ```ts
   * const [{ sequence, durations }] = await model.transcribe({ inputFeatures });
   * ```
   */
  async transcribe(inputs: Pick<ModelInputs, 'inputFeatures' | 'attentionMask'>): Promise<TransducerText[]> {
    checkKnown('transcribe', inputs, ['inputFeatures', 'attentionMask']);
    const { frames, counts } = await inferenceAsync(this, () => this.#framesOf(inputs));
    try {
      const texts: TransducerText[] = [];
      for (const [i, count] of counts.entries()) texts.push(await this.#write(frames, i, count));
      return texts;
    } finally {
      frames.dispose();
    }
  }

  /** The encoder's output, [B, frames, features], and the number of frames of each sound. Yields after each layer. */
  *#framesOf(inputs: ModelInputs): Generator<unknown, { frames: Tensor; counts: readonly number[] }> {
    this.beginPass();
    const { x, batch } = yield* this.hear(inputs);
    const counts = countsOf(batch);
    return { frames: this.encoderProjector.forward(x).reshape(batch.size, batch.longest, -1), counts };
  }

  /** Transcribes the first `count` frames of item `row` of `frames`, [B, frames, features]. */
  async #write(frames: Tensor, row: number, count: number): Promise<TransducerText> {
    const blank = this.settings.size('blank_token_id');
    const vocabulary = this.settings.size('vocab_size');
    const perFrame = this.settings.size('max_symbols_per_step');
    const item = inference(this, () => frames.rows(row, row + 1).reshape(frames.shape[1] as number, -1));
    const sequence = [blank];
    const durations = [0];
    let read = this.#read(blank);
    let symbols = 0;
    try {
      for (let frame = 0; frame < count && sequence.length < perFrame * count; ) {
        const logits = inference(this, () => this.#join(item.rows(frame, frame + 1), read.outputs));
        const values = (await logits.data()) as Float32Array;
        logits.dispose();
        const token = argmax(values.subarray(0, vocabulary));
        symbols = token === blank ? 0 : symbols + 1;
        const advance = this.#advance(values.subarray(vocabulary), token === blank, symbols >= perFrame);
        if (advance > 0) symbols = 0;
        sequence.push(token);
        durations.push(advance);
        frame += advance;
        if (token === blank) continue;
        const next = this.#read(token, read.states);
        release(read);
        read = next;
      }
    } finally {
      release(read);
      item.dispose();
    }
    return { sequence, durations };
  }

  /** Returns how many frames to advance. A blank advances by at least one frame. */
  #advance(scores: Float32Array, isBlank: boolean, isFull: boolean): number {
    if (this.#durations.length === 0) return isBlank || isFull ? 1 : 0;
    return Math.max(isBlank ? 1 : 0, argmax(scores));
  }

  /** Runs the predictor on one more token. The caller disposes of the result. */
  #read(token: number, states?: readonly LstmState[]): Read {
    return inference(this, () => {
      const { outputs, states: after } = this.predictor.forward(this.device.tensor(Int32Array.of(token)), 1, states);
      return { outputs: outputs.reshape(1, -1), states: after };
    });
  }

  override get startId(): number {
    return this.settings.size('blank_token_id');
  }

  protected override get stateNames(): StateNames {
    return {
      ...super.stateNames,
      encoder_projector: 'encoder_projector',
      'predictor.embedding': 'decoder.embedding',
      'predictor.lstm.layers.*.input.weight': 'decoder.lstm.weight_ih_l*',
      'predictor.lstm.layers.*.input.bias': 'decoder.lstm.bias_ih_l*',
      'predictor.lstm.layers.*.hidden.weight': 'decoder.lstm.weight_hh_l*',
      'predictor.lstm.layers.*.hidden.bias': 'decoder.lstm.bias_hh_l*',
      'predictor.projector': 'decoder.decoder_projector',
      joint: 'joint.head',
    };
  }
}

/** Number of frames of each sound that are not padding. */
function countsOf({ isToken, counts }: Sequences): readonly number[] {
  return isToken?.map((row) => row.filter(Boolean).length) ?? counts;
}

interface Read {
  readonly outputs: Tensor;
  readonly states: readonly LstmState[];
}

function release({ outputs, states }: Read): void {
  outputs.dispose();
  for (const { hidden, cell } of states) {
    hidden.dispose();
    cell.dispose();
  }
}

/**
 * Returns the numbers of frames that a token may take; empty for RNN-T. transformers uses the index in this list as the
 * number, so other lists are refused.
 */
function durationsOf(config: ModelConfig): readonly number[] {
  if (config.type !== 'parakeet_tdt') return [];
  const durations = config.list('durations');
  if (durations.length > 0 && durations.every((duration, i) => duration === i)) return durations as number[];
  throw new FormatError(`config.json: durations is ${describeValue(durations)}, expected [0, 1, 2, …]`);
}

const encoderDefaults: Json = {
  hidden_size: 1024,
  num_hidden_layers: 24,
  num_attention_heads: 8,
  intermediate_size: 4096,
  hidden_act: 'silu',
  attention_bias: true,
  convolution_bias: true,
  conv_kernel_size: 9,
  subsampling_factor: 8,
  subsampling_conv_channels: 256,
  num_mel_bins: 80,
  subsampling_conv_kernel_size: 3,
  subsampling_conv_stride: 2,
  dropout: 0.1,
  dropout_positions: 0,
  layerdrop: 0.1,
  activation_dropout: 0.1,
  attention_dropout: 0.1,
  scale_input: true,
};

const complete: NonNullable<Family['complete']> = (config) => {
  config.encoder_config = { ...encoderDefaults, ...(config.encoder_config as Json | null) };
};

export const parakeetCtc: Family = {
  model: ParakeetCtc,
  className: 'Parakeet',
  defaults: { vocab_size: 1025, ctc_loss_reduction: 'mean', ctc_zero_infinity: true, pad_token_id: 1024 },
  complete,
};

const transducer: Json = {
  vocab_size: 8193,
  decoder_hidden_size: 640,
  num_decoder_layers: 2,
  hidden_act: 'relu',
  max_symbols_per_step: 10,
  pad_token_id: 2,
  blank_token_id: 8192,
};

export const parakeetTdt: Family = {
  model: ParakeetTransducer,
  className: 'Parakeet',
  defaults: { ...transducer, durations: [0, 1, 2, 3, 4] },
  complete,
};

export const parakeetRnnt: Family = {
  model: ParakeetTransducer,
  className: 'Parakeet',
  defaults: transducer,
  complete,
};
