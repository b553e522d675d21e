import { checkKnown, checkNumber, isWhole } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { Random } from '../../core/random.js';
import { atOnce } from '../../core/slices.js';
import type { Tensor } from '../../core/tensor.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { columns, flipped } from '../../nn/columns.js';
import { Conv1d } from '../../nn/conv.js';
import { CouplingBlock } from '../../nn/coupling-flow.js';
import type { Memory } from '../../nn/decoder-state.js';
import type { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { DistanceRows } from '../../nn/frame-attention.js';
import { HifiGan } from '../../nn/hifi-gan.js';
import { inferenceAsync } from '../../nn/inference-async.js';
import type { Initializer } from '../../nn/init.js';
import { type FeedForwardNetwork, TransformerLayer } from '../../nn/layer.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { PointwiseConv } from '../../nn/pointwise-conv.js';
import type { Sequences } from '../../nn/sequences.js';
import { AffineFlow, DilatedSeparableConv, type SeparableOptions, SplineFlow } from '../../nn/spline-flow.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Tokens } from '../../nn/token-batch.js';
import { WaveNet, type WaveNetOptions } from '../../nn/wavenet.js';
import { type Activation, activate, relu } from '../../ops/activation.js';
import { add, mul } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat, gather, slice, transpose } from '../../ops/move.js';
import { exp } from '../../ops/unary.js';
import { activationOf, dropoutOf, layerDropOf } from '../config-values.js';
import type { Family } from '../family.js';
import { HIFI_GAN_DEFAULTS, hifiGanOptions } from '../hifi-gan-config.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, PaddedBatch, unpackMaps } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import { checkHead } from '../prediction-head.js';
import { type BatchLayout, type FamilyContext, PretrainedModel } from '../pretrained-model.js';

/** A feed-forward network of two convolutions over tokens. Padding counts as zeros. */
class ConvNetwork extends Module implements FeedForwardNetwork {
  readonly conv1: Conv1d;
  readonly conv2: Conv1d;

  constructor(
    init: Initializer,
    dModel: number,
    dFF: number,
    private readonly taps: number,
    private readonly activation: Activation,
    readonly dropout: Dropout,
  ) {
    super();
    const options = { padding: Math.floor(taps / 2), channelsLast: true };
    this.conv1 = new Conv1d(init, { inputs: dModel, outputs: dFF, kernel: taps, ...options });
    this.conv2 = new Conv1d(init, { inputs: dFF, outputs: dModel, kernel: taps, ...options });
  }

  forward(): Tensor {
    throw new ArgumentError('ConvNetwork: reads whole sequences, not single steps');
  }

  forwardIn(x: Tensor, batch: Sequences): Tensor {
    const { size, longest } = batch;
    const mask = batch.tokenMask?.reshape(size, longest, 1) ?? null;
    const shown = (y: Tensor) => (mask ? mul(y, mask) : y);
    // With an even kernel size, the output is one token too long. The first one is dropped.
    const cropped = (y: Tensor) => contiguous(slice(y, 1, 1 - (this.taps % 2), 1 - (this.taps % 2) + longest));
    const hidden = activate(
      'ConvNetwork',
      cropped(this.conv1.forward(shown(x.reshape(size, longest, -1)))),
      this.activation,
    );
    const y = cropped(this.conv2.forward(shown(this.dropout.forward(hidden))));
    return shown(y).reshape(size * longest, -1);
  }
}

/** Predicts the logarithm of each token's duration by a flow from noise, so that the rhythm varies. */
class StochasticDurations extends Module {
  readonly convPre: PointwiseConv;
  readonly convProj: PointwiseConv;
  readonly convDds: DilatedSeparableConv;
  readonly cond: PointwiseConv | null;
  readonly flows: readonly (AffineFlow | SplineFlow)[];
  /**
   * Only training uses the following parts. They are loaded and saved; training is not supported, as in transformers.
   */
  readonly postConvPre: PointwiseConv;
  readonly postConvProj: PointwiseConv;
  readonly postConvDds: DilatedSeparableConv;
  readonly postFlows: readonly (AffineFlow | SplineFlow)[];

  constructor(init: Initializer, config: ModelConfig, dropout: (name: string) => Dropout) {
    super();
    config.expect('depth_separable_channels', 2);
    const width = config.size('hidden_size');
    const speaker = config.number('speaker_embedding_size');
    const options: SeparableOptions = {
      layers: config.size('depth_separable_num_layers'),
      channels: width,
      taps: config.size('duration_predictor_kernel_size'),
    };
    const separable = () => new DilatedSeparableConv(init, options, dropout('duration_predictor_dropout'));
    const bins = config.size('duration_predictor_flow_bins');
    const bound = config.number('duration_predictor_tail_bound');
    const spline = () => new SplineFlow(init, bins, bound, options, dropout(''));
    const count = config.size('duration_predictor_num_flows');
    const flows = () => [new AffineFlow(init, 2), ...Array.from({ length: count }, spline)];
    this.convPre = new PointwiseConv(init, width, width);
    this.convProj = new PointwiseConv(init, width, width);
    this.convDds = separable();
    this.cond = speaker === 0 ? null : new PointwiseConv(init, speaker, width);
    this.flows = flows();
    this.postConvPre = new PointwiseConv(init, 1, width);
    this.postConvProj = new PointwiseConv(init, width, width);
    this.postConvDds = separable();
    this.postFlows = flows();
  }

  /** `x`: [B, T, width]. `noise`: [B, T, 2]. Returns [B, T]. Yields after each flow. */
  *forwardInParts(x: Tensor, mask: Tensor, speaker: Tensor | null, noise: Tensor): Generator<undefined, Tensor> {
    const pre = this.convPre.forward(x);
    const voiced = speaker && this.cond ? add(pre, this.cond.forward(speaker)) : pre;
    const text = mul(this.convProj.forward(this.convDds.forward(voiced, mask)), mask);
    // Inference skips one flow, as in the paper's code.
    const [affine, , ...splines] = this.flows as [AffineFlow, SplineFlow, ...SplineFlow[]];
    yield;
    let y = noise;
    for (const flow of splines.reverse()) {
      y = flow.backwards(flipped(y), mask, text);
      yield;
    }
    return columns(affine.backwards(flipped(y), mask), 0, 1).reshape(...(x.shape.slice(0, 2) as [number, number]));
  }
}

/** Predicts the logarithm of each token's duration by two convolutions. */
class Durations extends Module {
  readonly conv1: Conv1d;
  readonly norm1: LayerNorm;
  readonly conv2: Conv1d;
  readonly norm2: LayerNorm;
  readonly proj: PointwiseConv;
  readonly cond: PointwiseConv | null;

  constructor(
    init: Initializer,
    config: ModelConfig,
    readonly dropout: Dropout,
  ) {
    super();
    const [width, taps] = [config.size('hidden_size'), config.size('duration_predictor_kernel_size')];
    const channels = config.size('duration_predictor_filter_channels');
    const speaker = config.number('speaker_embedding_size');
    const options = { padding: Math.floor(taps / 2), channelsLast: true };
    const norm = () => new LayerNorm(init, channels, config.number('layer_norm_eps'));
    this.conv1 = new Conv1d(init, { inputs: width, outputs: channels, kernel: taps, ...options });
    this.norm1 = norm();
    this.conv2 = new Conv1d(init, { inputs: channels, outputs: channels, kernel: taps, ...options });
    this.norm2 = norm();
    this.proj = new PointwiseConv(init, channels, 1);
    this.cond = speaker === 0 ? null : new PointwiseConv(init, speaker, width);
  }

  forward(x: Tensor, mask: Tensor, speaker: Tensor | null): Tensor {
    const voiced = speaker && this.cond ? add(x, this.cond.forward(speaker)) : x;
    const part = (y: Tensor, conv: Conv1d, norm: LayerNorm) =>
      this.dropout.forward(norm.forward(relu(conv.forward(mul(y, mask)))));
    const y = part(part(voiced, this.conv1, this.norm1), this.conv2, this.norm2);
    return mul(this.proj.forward(mul(y, mask)), mask).reshape(...(x.shape.slice(0, 2) as [number, number]));
  }

  protected override get stateNames(): StateNames {
    return { conv1: 'conv_1', norm1: 'norm_1', conv2: 'conv_2', norm2: 'norm_2' };
  }
}

/** The WaveNets of a model. */
const waveNetOf = (config: ModelConfig, layers: number): WaveNetOptions => ({
  layers,
  width: config.size('hidden_size'),
  taps: config.size('wavenet_kernel_size'),
  rate: config.size('wavenet_dilation_rate'),
  speaker: config.number('speaker_embedding_size'),
});

/** Encoder of spectrograms. Only training uses it; it is loaded and saved. */
class PosteriorEncoder extends Module {
  readonly convPre: PointwiseConv;
  readonly wavenet: WaveNet;
  readonly convProj: PointwiseConv;

  constructor(init: Initializer, config: ModelConfig, dropout: Dropout) {
    super();
    const width = config.size('hidden_size');
    this.convPre = new PointwiseConv(init, config.size('spectrogram_bins'), width);
    this.wavenet = new WaveNet(init, waveNetOf(config, config.size('posterior_encoder_num_wavenet_layers')), dropout);
    this.convProj = new PointwiseConv(init, width, 2 * config.size('flow_size'));
  }
}

/** Options of `speak`. */
export interface SpeakOptions {
  /** Index of the voice, for models with several speakers. Default: none. */
  readonly speakerId?: number | undefined;
  /** Seed of the noise that varies rhythm and tone, an integer from 0 on. Default: 0. */
  readonly seed?: number | undefined;
  /** Factor of the speed; 2 is twice as fast. Default: `speaking_rate` of the config. */
  readonly speakingRate?: number | undefined;
}

/** A spoken text. */
export interface SpokenText {
  /** From −1 to 1 at `sampling_rate`. */
  readonly samples: Float32Array;
  /** Number of frames of each token. All frames have the same number of samples. */
  readonly frames: readonly number[];
}

/** Output of the text encoder. B: texts, T: tokens of the longest text. */
interface ReadText {
  readonly padded: PaddedBatch;
  /** float32 [B, T, width] */
  readonly hidden: Tensor;
  /** Shape [B, T, 1]: 1 for tokens, 0 for padding. */
  readonly mask: Tensor;
  /** The embedding of the speaker, [1, 1, features]; null for a model of one voice. */
  readonly speaker: Tensor | null;
}

/**
 * VITS (Kim, Kong, Son 2021, arXiv 2106.06103), the architecture of MMS-TTS. A text encoder predicts the distribution
 * of latent frames. A duration predictor gives their number for each token. A flow and HiFi-GAN turn them into sound.
 */
export class Vits extends PretrainedModel {
  readonly tokens: Embedding;
  readonly encoder: Stack;
  readonly project: PointwiseConv;
  readonly flow: CouplingBlock;
  readonly vocoder: HifiGan;
  readonly durationPredictor: StochasticDurations | Durations;
  readonly embedSpeaker: Embedding | null;
  readonly posteriorEncoder: PosteriorEncoder;
  override readonly decoder = null;
  override readonly head = null;

  constructor(context: FamilyContext) {
    super(context);
    checkHead(context, ['none']);
    const { init, config } = context;
    const dModel = config.size('hidden_size');
    const dropout = (name: string) => dropoutOf(config, name, this.randomness);
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.encoder = this.#encoderOf(init, config);
    this.project = new PointwiseConv(init, dModel, 2 * config.size('flow_size'));
    const flows = {
      flows: config.size('prior_encoder_num_flows'),
      channels: config.size('flow_size'),
      wavenet: waveNetOf(config, config.size('prior_encoder_num_wavenet_layers')),
    };
    this.flow = new CouplingBlock(init, flows, () => dropout('wavenet_dropout'));
    const speaker = config.number('speaker_embedding_size');
    this.vocoder = new VoicedHifiGan(init, config, speaker);
    this.durationPredictor = config.flag('use_stochastic_duration_prediction')
      ? new StochasticDurations(init, config, dropout)
      : new Durations(init, config, dropout('duration_predictor_dropout'));
    const speakers = config.size('num_speakers');
    this.embedSpeaker = speakers > 1 ? new Embedding(init, speakers, speaker) : null;
    this.posteriorEncoder = new PosteriorEncoder(init, config, dropout('wavenet_dropout'));
  }

  #encoderOf(init: Initializer, config: ModelConfig): Stack {
    const dModel = config.size('hidden_size');
    const heads = config.size('num_attention_heads');
    const window = config.numberOrNull('window_size') ?? 0;
    const row = (distance: number) => (Math.abs(distance) > window ? null : distance + window);
    const relative = () =>
      new DistanceRows(init, dModel / heads, { rows: 2 * window + 1, max: window + 1, row, values: true });
    const dropout = (name: string) => dropoutOf(config, name, this.randomness);
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, {
            dModel,
            heads,
            bias: config.flag('use_bias'),
            relative: window > 0 ? relative : null,
            dropout: dropout('attention_dropout'),
          }),
        feedForward: () =>
          new ConvNetwork(
            init,
            dModel,
            config.size('ffn_dim'),
            config.size('ffn_kernel_size'),
            activationOf(config.text('hidden_act')),
            dropout('activation_dropout'),
          ),
        norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
        dropout: () => dropout('hidden_dropout'),
        wiring: 'post',
        randomness: this.randomness,
      });
    const layerDrop = layerDropOf(config, 'layerdrop', this.randomness);
    return new Stack(config.size('num_hidden_layers'), layer, null, { layerDrop });
  }

  /** Speaking needs no encoder of spectrograms, and the inverse of the durations leaves out a flow. */
  override isOptional(name: string): boolean {
    return /^(posterior_encoder|duration_predictor\.(post_|flows\.1\.))/.test(name);
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['inputIds', 'attentionMask', 'speakerId'];
  }

  /** Speaks without noise if the config says so, and otherwise with the noise of seed 0. */
  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const hiddenStates: Tensor[] | undefined = options.hiddenStates ? [] : undefined;
    const text = yield* this.#read(inputs, hiddenStates);
    layout.source = text.padded;
    const random = new Random(0);
    const logs = this.device.noGrad(() => atOnce(this.#logDurations(text, random)));
    const frames = this.#framesOf(logs.dataSync() as Float32Array, text, this.settings.number('speaking_rate'));
    const output = yield* this.#speak(text, frames, random);
    if (hiddenStates) output.hiddenStates = hiddenStates.map((state) => text.padded.unpack(state));
    return output;
  }

  /**
   * Speaks rows of token ids. Equal seeds give equal sound. Resolves to samples from −1 to 1 at `sampling_rate`, one
   * array for each row. Rejects with the errors of `forward`, and with ArgumentError for invalid options.
   */
  async speak(inputIds: Tokens, options: SpeakOptions = {}): Promise<Float32Array[]> {
    return (await this.speakInTime(inputIds, options)).map(({ samples }) => samples);
  }

  /** Speaks as `speak` does, and tells when each token is heard. */
  async speakInTime(inputIds: Tokens, options: SpeakOptions = {}): Promise<SpokenText[]> {
    const names = ['speakerId', 'seed', 'speakingRate'] as const;
    const { speakerId, seed = 0, speakingRate } = checkKnown('speak', options, names);
    const rate = speakingRate ?? this.settings.number('speaking_rate');
    checkNumber('speak', 'speakingRate', rate, (value) => value > 0 && Number.isFinite(value), 'a number above 0');
    const random = new Random(seed);
    const { text, logs } = await inferenceAsync(this, () => this.#timed({ inputIds, speakerId }, random));
    try {
      const frames = this.#framesOf((await logs.data()) as Float32Array, text, rate);
      const { waveform: all } = await inferenceAsync(this, () => this.#sound(text, frames, random));
      const samples = (await all.data()) as Float32Array;
      const width = all.shape[1] as number;
      all.dispose();
      return frames.map((counts, i) => ({
        samples: samples.slice(i * width, i * width + lengthOf(counts) * this.vocoder.samplesPerFrame),
        frames: counts,
      }));
    } finally {
      for (const tensor of [logs, text.hidden, text.mask, text.speaker]) tensor?.dispose();
    }
  }

  /** Reads a text and chooses the durations of its tokens. */
  *#timed(inputs: ModelInputs, random: Random): Generator<unknown, { text: ReadText; logs: Tensor }> {
    const text = yield* this.#read(inputs);
    return { text, logs: yield* this.#logDurations(text, random) };
  }

  *#sound(
    text: ReadText,
    frames: readonly (readonly number[])[],
    random: Random,
  ): Generator<unknown, { waveform: Tensor }> {
    return { waveform: (yield* this.#speak(text, frames, random)).waveform as Tensor };
  }

  *#read({ inputIds, attentionMask, speakerId }: ModelInputs, hiddenStates?: Tensor[]): Generator<unknown, ReadText> {
    const padded = PaddedBatch.from(this.device, 'inputIds', inputIds, attentionMask, 'kept');
    const { sequences, batch } = padded;
    const { size, longest } = sequences;
    if (sequences.counts.some((count) => count !== longest))
      throw new ArgumentError('forward: texts differ in length, expected rows with padding and an attentionMask');
    const x = this.embedSource(batch.ids);
    const shown = padded.tokenMask?.reshape(batch.total, 1) ?? null;
    const hidden = yield* this.encoder.forwardInParts(shown ? mul(x, shown) : x, sequences, { hiddenStates });
    const ended = shown ? mul(hidden, shown) : hidden;
    const mask = padded.tokenMask ?? this.device.full([size, longest, 1], 1);
    return { padded, hidden: ended.reshape(size, longest, -1), mask, speaker: this.#speakerOf(speakerId) };
  }

  #speakerOf(speakerId: number | undefined): Tensor | null {
    if (speakerId === undefined) return null;
    const speakers = this.settings.size('num_speakers');
    const isKnown = (id: number) => isWhole(id) && id < speakers;
    checkNumber('forward', 'speakerId', speakerId, isKnown, `a number from 0 to ${speakers - 1}`);
    const row = this.embedSpeaker?.forward(this.device.tensor(Int32Array.of(speakerId)));
    return row?.reshape(1, 1, -1) ?? null;
  }

  /** Returns the logarithm of each token's duration in frames, [B, T]. */
  *#logDurations({ hidden, mask, speaker }: ReadText, random: Random): Generator<unknown, Tensor> {
    const predictor = this.durationPredictor;
    if (predictor instanceof Durations) return predictor.forward(hidden, mask, speaker);
    const shape = [...hidden.shape.slice(0, 2), 2];
    const noise = yield* this.#noise(random, shape, this.settings.number('noise_scale_duration'));
    return yield* predictor.forwardInParts(hidden, mask, speaker, noise);
  }

  /** Draws noise. Yields after every few milliseconds. */
  *#noise(random: Random, shape: readonly number[], deviation: number): Generator<undefined, Tensor> {
    const values = new Float32Array(shape.reduce((product, length) => product * length, 1));
    if (deviation !== 0)
      for (let i = 0; i < values.length; i++) {
        values[i] = deviation * random.normal();
        if (i % NUMBERS_A_SLICE === NUMBERS_A_SLICE - 1) yield;
      }
    return this.device.tensor(values, shape);
  }

  /** Returns the number of frames of each token, one list per text. */
  #framesOf(logs: Float32Array, { padded, hidden }: ReadText, rate: number): number[][] {
    const [size, time] = hidden.shape as [number, number];
    const { isToken } = padded;
    return Array.from({ length: size }, (_, row) =>
      Array.from({ length: time }, (_, i) => {
        if (isToken && !isToken[row]?.[i]) return 0;
        const frames = Math.ceil(Math.exp(logs[row * time + i] as number) / rate);
        if (frames <= MAX_FRAMES) return frames;
        throw new FormatError(`vits: the model gives a token ${frames} frames, expected at most ${MAX_FRAMES}`);
      }),
    );
  }

  /** Makes sound. Each token's distribution is repeated for the token's number of frames. */
  *#speak(
    { hidden, mask, speaker }: ReadText,
    frames: readonly (readonly number[])[],
    random: Random,
  ): Generator<unknown, ModelOutput> {
    const { device } = this;
    const [size, time] = hidden.shape as [number, number, number];
    const flowSize = this.settings.size('flow_size');
    const stats = mul(this.project.forward(hidden), mask).reshape(size * time, 2 * flowSize);
    const lengths = frames.map(lengthOf);
    const longest = Math.max(...lengths);
    const rows = new Int32Array(size * longest).fill(size * time); // index of the row of zeros after all tokens
    for (const [i, counts] of frames.entries()) {
      let start = i * longest;
      for (const [token, count] of counts.entries()) {
        rows.fill(i * time + token, start, start + count);
        start += count;
      }
    }
    const spread = gather(concat([stats, device.zeros([1, 2 * flowSize])]), device.tensor(rows));
    const means = contiguous(spread.columns(0, flowSize)).reshape(size, longest, flowSize);
    const noiseScale = this.settings.number('noise_scale');
    let x = means;
    if (noiseScale > 0) {
      const deviations = exp(contiguous(spread.columns(flowSize, 2 * flowSize)).reshape(size, longest, flowSize));
      x = add(means, mul(yield* this.#noise(random, means.shape, noiseScale), deviations));
    }
    const marks = new Float32Array(size * longest);
    for (const [i, length] of lengths.entries()) marks.fill(1, i * longest, i * longest + length);
    const shown = device.tensor(marks, [size, longest, 1]);
    const latents = mul(yield* this.flow.backwardsInParts(x, shown, speaker), shown);
    const waveform = yield* this.vocoder.forwardInParts(latents, speaker);
    const samples = lengths.map((length) => length * this.vocoder.samplesPerFrame);
    return { waveform, sequenceLengths: device.tensor(Int32Array.from(samples)), spectrogram: transpose(latents) };
  }

  protected override mapsOf({ encoder }: AttentionMaps, _: ModelOutput, { source }: BatchLayout): ModelOutput {
    return { attentions: unpackMaps(encoder, source) };
  }

  protected override embedSource(ids: Tensor): Tensor {
    const paddingId = this.settings.numberOrNull('pad_token_id');
    return this.tokens.forward(ids, { scale: Math.sqrt(this.settings.size('hidden_size')), paddingId });
  }

  protected override embedTarget(): Tensor {
    throw new ArgumentError('step: the model has no decoder');
  }

  protected override readSource(source: Tokens): Memory {
    return this.encodeBatch(source);
  }

  override get maxLength(): number {
    return MAX_TOKENS;
  }

  override get startId(): number | null {
    return null;
  }

  override get endIds(): readonly number[] {
    return [];
  }

  protected override get stateNames(): StateNames {
    const layer = 'text_encoder.encoder.layers.*';
    const path = 'encoder.layers.*';
    const relative = (name: string) => ({ name: `${layer}.attention.${name}`, leading: [1] });
    return {
      tokens: 'text_encoder.embed_tokens',
      [`${path}.self_attn.qkv`]: ['q', 'k', 'v'].map((name) => `${layer}.attention.${name}_proj`),
      [`${path}.self_attn.out_proj`]: `${layer}.attention.out_proj`,
      [`${path}.self_attn.relative.key_rows`]: relative('emb_rel_k'),
      [`${path}.self_attn.relative.value_rows`]: relative('emb_rel_v'),
      [`${path}.norm1`]: `${layer}.layer_norm`,
      [`${path}.feed_forward.conv1`]: `${layer}.feed_forward.conv_1`,
      [`${path}.feed_forward.conv2`]: `${layer}.feed_forward.conv_2`,
      [`${path}.norm2`]: `${layer}.final_layer_norm`,
      project: 'text_encoder.project',
      vocoder: 'decoder',
    };
  }
}

/** HiFi-GAN, with a projection of the speaker's vector that is added to its input. */
class VoicedHifiGan extends HifiGan {
  readonly cond: PointwiseConv | null;

  constructor(init: Initializer, config: ModelConfig, speaker: number) {
    super(init, { ...hifiGanOptions(config), inputs: config.size('flow_size'), outBias: false });
    this.cond = speaker === 0 ? null : new PointwiseConv(init, speaker, config.size('upsample_initial_channel'));
  }

  override forwardInParts(x: Tensor, speaker: Tensor | null): Generator<undefined, Tensor> {
    return super.forwardInParts(x, (speaker && this.cond?.forward(speaker)) ?? null);
  }
}

/** Maximum tokens of a text and frames of a token. They limit memory, but allow minutes of sound. */
const [MAX_TOKENS, MAX_FRAMES] = [1 << 14, 1 << 12];
/** Random numbers that are drawn before a pause. */
const NUMBERS_A_SLICE = 1 << 14;

/** Returns the number of frames of a text, at least one. */
const lengthOf = (counts: readonly number[]) =>
  Math.max(
    1,
    counts.reduce((total, count) => total + count, 0),
  );

export const vits: Family = {
  model: Vits,
  className: 'Vits',
  vocabulary: 'vits',
  defaults: {
    vocab_size: 38,
    hidden_size: 192,
    num_hidden_layers: 6,
    num_attention_heads: 2,
    window_size: 4,
    use_bias: true,
    ffn_dim: 768,
    layerdrop: 0.1,
    ffn_kernel_size: 3,
    flow_size: 192,
    spectrogram_bins: 513,
    hidden_act: 'relu',
    hidden_dropout: 0.1,
    attention_dropout: 0.1,
    activation_dropout: 0.1,
    layer_norm_eps: 1e-5,
    use_stochastic_duration_prediction: true,
    num_speakers: 1,
    speaker_embedding_size: 0,
    ...HIFI_GAN_DEFAULTS,
    upsample_rates: [8, 8, 2, 2],
    upsample_kernel_sizes: [16, 16, 4, 4],
    depth_separable_channels: 2,
    depth_separable_num_layers: 3,
    duration_predictor_flow_bins: 10,
    duration_predictor_tail_bound: 5,
    duration_predictor_kernel_size: 3,
    duration_predictor_dropout: 0.5,
    duration_predictor_num_flows: 4,
    duration_predictor_filter_channels: 256,
    prior_encoder_num_flows: 4,
    prior_encoder_num_wavenet_layers: 4,
    posterior_encoder_num_wavenet_layers: 16,
    wavenet_kernel_size: 5,
    wavenet_dilation_rate: 1,
    wavenet_dropout: 0,
    speaking_rate: 1,
    noise_scale: 0.667,
    noise_scale_duration: 0.8,
    sampling_rate: 16000,
    pad_token_id: null,
  },
};
