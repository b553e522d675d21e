import { checkDType, checkOptions, describeShape, describeValue } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { joinFloats } from '../../core/join-floats.js';
import { Random } from '../../core/random.js';
import { atOnce } from '../../core/slices.js';
import { Tensor } from '../../core/tensor.js';
import type { AttentionMaps } from '../../inspect/attention-maps.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { BatchNorm } from '../../nn/batch-norm.js';
import { Conv1d } from '../../nn/conv.js';
import type { DecoderState, Memory } from '../../nn/decoder-state.js';
import type { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { DistanceRows } from '../../nn/frame-attention.js';
import { inferenceAsync } from '../../nn/inference-async.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { inference, Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { sinusoids } from '../../nn/positions.js';
import { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { relu, tanh } from '../../ops/activation.js';
import { add, div, maximum, mul, scale, sub } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { dropout } from '../../ops/dropout.js';
import { bceWithLogits } from '../../ops/losses.js';
import { matmul } from '../../ops/matmul.js';
import { concat, gather, permute, unpack } from '../../ops/move.js';
import { sum } from '../../ops/reduce.js';
import { softmax } from '../../ops/softmax.js';
import { abs, sqrt } from '../../ops/unary.js';
import { activationOf, dropoutOf, layerDropOf } from '../config-values.js';
import type { Family } from '../family.js';
import { type ForwardOptions, type ModelInputs, type ModelOutput, type PaddingUse, unpackMaps } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import type { BatchLayout, FamilyContext } from '../pretrained-model.js';
import { Seq2SeqModel } from '../seq2seq-model.js';

/**
 * Attention to the text. It can also return its probabilities with a gradient, which the guided attention loss needs.
 */
class TextAttention extends MultiHeadAttention {
  /** If set, receives the probabilities, [B, heads, T, S], of whole sequences of one length. */
  collect: ((weights: Tensor) => void) | null = null;

  override cross(x: Tensor, batch: Sequences, memory: Memory): Tensor {
    if (this.collect === null) return super.cross(x, batch, memory);
    const { heads, headSize } = this;
    const { size, longest } = batch;
    const width = heads * headSize;
    const headsOf = (rows: Tensor, of: Sequences) =>
      permute(
        unpack(contiguous(rows), of.lengths, of.longest).reshape(size, of.longest, heads, headSize),
        [0, 2, 1, 3],
      );
    const kv = this.keysAndValues(memory.hidden);
    const [k, v] = [kv.columns(0, width), kv.columns(width, 2 * width)].map((part) => headsOf(part, memory.batch)) as [
      Tensor,
      Tensor,
    ];
    const scores = scale(matmul(headsOf(this.query(x), batch), k, { transposeB: true }), this.scale);
    const weights = softmax(add(scores, hiddenKeys(memory.batch))); // [B, heads, T, S]
    this.collect(weights);
    const mixed = matmul(this.dropout?.forward(weights) ?? weights, v);
    const outputs = contiguous(permute(mixed, [0, 2, 1, 3])).reshape(size * longest, width);
    this.observe?.({ outputs, weights: () => weights, parts: null });
    return this.outProj.forward(outputs);
  }
}

/** Returns a mask [B, 1, 1, S]: −∞ after the end of a sequence, else 0. */
function hiddenKeys({ counts, longest, size, positions }: Sequences): Tensor {
  const values = counts.flatMap((count) =>
    Array.from({ length: longest }, (_, i) => (i < count ? 0 : Number.NEGATIVE_INFINITY)),
  );
  return positions.device.tensor(Float32Array.from(values), [size, 1, 1, longest]);
}

/** Sinusoidal position embeddings, times a trained factor (Li et al. 2018, arXiv 1809.08895, section 3.2). */
class ScaledPositions extends Module {
  /** A scalar. */
  readonly alpha: Tensor;
  readonly #table: Tensor;

  constructor(
    init: Initializer,
    readonly maxLength: number,
    dModel: number,
    readonly dropout: Dropout,
  ) {
    super();
    this.alpha = init.constant([], 1);
    this.#table = init.table(maxLength, dModel, () => sinusoids(maxLength, dModel, { layout: 'interleaved' }));
  }

  /** `x` and the result: float32 [N, dModel]. `positions`: int32 [N]. */
  forward(x: Tensor, positions: Tensor): Tensor {
    return this.dropout.forward(add(x, mul(gather(this.#table, positions), this.alpha)));
  }

  protected override release(): void {
    super.release();
    this.#table.dispose();
  }
}

/**
 * Turns frames and the speaker embedding into the decoder's input. Its dropout is active in inference, too, to vary
 * speech (Shen et al. 2017, arXiv 1712.05884, section 2.2).
 */
class DecoderPrenet extends Module {
  readonly layers: readonly Linear[];
  readonly finalLayer: Linear;
  readonly encodePositions: ScaledPositions;
  readonly speakerEmbedsLayer: Linear;
  readonly #p: number;

  constructor(init: Initializer, config: ModelConfig, dropout: Dropout) {
    super();
    const [units, dModel] = [config.size('speech_decoder_prenet_units'), config.size('hidden_size')];
    this.layers = Array.from(
      { length: config.size('speech_decoder_prenet_layers') },
      (_, i) => new Linear(init, i === 0 ? config.size('num_mel_bins') : units, units),
    );
    this.finalLayer = new Linear(init, units, dModel);
    this.encodePositions = new ScaledPositions(init, config.size('max_speech_positions'), dModel, dropout);
    this.speakerEmbedsLayer = new Linear(init, config.size('speaker_embedding_dim') + dModel, dModel);
    this.#p = config.number('speech_decoder_prenet_dropout');
  }

  /**
   * `frames`: float32 [B, T, bins]. `first`: position of the first frame. `voices`: speaker embeddings [B, features] of
   * length 1, or null. `random` seeds the dropout; all items of the batch drop the same elements. Returns [B, T,
   * dModel].
   */
  forward(frames: Tensor, voices: Tensor | null, random: Random, first = 0): Tensor {
    const { device } = frames;
    const [size, time] = frames.shape as [number, number, number];
    const read = this.layers.reduce((x, layer) => {
      const y = relu(layer.forward(x));
      if (this.#p === 0) return y;
      const kept = dropout(device.full([time, y.shape[2] as number], 1), { p: this.#p, seed: random.uint32() });
      return mul(y, kept);
    }, frames);
    const positions = Array.from({ length: size * time }, (_, i) => first + (i % time));
    const rows = this.finalLayer.forward(read).reshape(size * time, -1);
    const embedded = this.encodePositions.forward(rows, device.tensor(Int32Array.from(positions)));
    if (voices === null) return embedded.reshape(size, time, -1);
    const items = Int32Array.from(
      { length: size * time },
      (_, i) => Math.floor(i / time) % (voices.shape[0] as number),
    );
    const both = concat([embedded, gather(voices, device.tensor(items))], 1);
    return relu(this.speakerEmbedsLayer.forward(both)).reshape(size, time, -1);
  }
}

interface PostnetLayerOptions {
  readonly inputs: number;
  readonly outputs: number;
  readonly kernel: number;
  readonly isLast: boolean;
  readonly dropout: Dropout;
}

/** A convolution over frames, batch normalization, tanh (except in the last layer), and dropout. */
class PostnetLayer extends Module {
  readonly conv: Conv1d;
  readonly batchNorm: BatchNorm;

  readonly dropout: Dropout;
  readonly #isLast: boolean;

  constructor(init: Initializer, { inputs, outputs, kernel, isLast, dropout }: PostnetLayerOptions) {
    super();
    this.dropout = dropout;
    this.#isLast = isLast;
    const padding = Math.floor((kernel - 1) / 2);
    this.conv = new Conv1d(init, { inputs, outputs, kernel, padding, channelsLast: true, bias: false });
    this.batchNorm = new BatchNorm(init, outputs, { channelsLast: true });
  }

  forward(x: Tensor): Tensor {
    const y = this.batchNorm.forward(this.conv.forward(x));
    return this.dropout.forward(this.#isLast ? y : tanh(y));
  }
}

/**
 * Turns the decoder's features into spectrograms and the probability that speech ends. Convolutions then refine the
 * spectrograms.
 */
class DecoderPostnet extends Module {
  readonly featOut: Linear;
  readonly probOut: Linear;
  readonly layers: readonly PostnetLayer[];

  constructor(init: Initializer, config: ModelConfig, dropout: () => Dropout) {
    super();
    const [dModel, bins] = [config.size('hidden_size'), config.size('num_mel_bins')];
    const [factor, units] = [config.size('reduction_factor'), config.size('speech_decoder_postnet_units')];
    const count = config.size('speech_decoder_postnet_layers');
    this.featOut = new Linear(init, dModel, bins * factor);
    this.probOut = new Linear(init, dModel, factor);
    this.layers = Array.from({ length: count }, (_, i) => {
      const isLast = i === count - 1;
      const [inputs, outputs] = [i === 0 ? bins : units, isLast ? bins : units];
      const kernel = config.size('speech_decoder_postnet_kernel');
      return new PostnetLayer(init, { inputs, outputs, kernel, isLast, dropout: dropout() });
    });
  }

  /** `frames` and the result: float32 [B, T, bins]. Yields after each layer. */
  *refineInParts(frames: Tensor): Generator<undefined, Tensor> {
    let x = frames;
    for (const layer of this.layers) {
      x = layer.forward(x);
      yield;
    }
    return add(frames, x);
  }
}

/** The inputs of a step of `speak`. */
interface SpeechStep {
  /** Number of the step, from 1 on. */
  readonly step: number;
  readonly state: DecoderState;
  /** float32 [1, features], or null. */
  readonly voice: Tensor | null;
  readonly random: Random;
}

interface WrittenFrames {
  /** float32 [1, frames · bins] */
  readonly spectrum: Tensor;
  /** float32 [1, frames]: logits of the end of speech. */
  readonly ends: Tensor;
}

/** Options of `speak`. */
export interface SpeechOptions {
  /** Speaker embedding: float32 [features] or [1, features]. */
  readonly speakerEmbeddings: Tensor | Float32Array;
  /** Speech ends when the probability of its end reaches this. Default: 0.5. */
  readonly threshold?: number | undefined;
  /** Minimum and maximum number of frames of speech per token of text. Default: 0 and 20. */
  readonly minLengthRatio?: number | undefined;
  readonly maxLengthRatio?: number | undefined;
  /** Seed of the dropout that varies speech, an integer from 0 on. Default: 0. */
  readonly seed?: number | undefined;
}

const speechOptions = {
  speakerEmbeddings: 'any',
  threshold: 'share',
  minLengthRatio: 'notNegative',
  maxLengthRatio: 'positive',
  seed: 'any',
} as const;

/**
 * Text to speech by SpeechT5 (Ao et al. 2021, arXiv 2110.07205). An encoder with relative positions reads letters. A
 * decoder writes frames of a mel spectrogram, several per step, and a HiFi-GAN turns them into samples.
 */
export class SpeechT5 extends Seq2SeqModel {
  readonly tokens: Embedding;
  readonly textPositions: ScaledPositions;
  readonly startNorm: LayerNorm;
  readonly startDropout: Dropout;
  readonly encoder: Stack;
  readonly prenet: DecoderPrenet;
  readonly decoder: Stack;
  readonly postnet: DecoderPostnet;
  readonly head = null;
  readonly #passes = new Random(0);

  constructor(context: FamilyContext) {
    super(context, ['text-to-speech']);
    const { init, config } = context;
    const dModel = config.size('hidden_size');
    const dropout = (name: string) => dropoutOf(config, name, this.randomness);
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    const max = config.size('max_text_positions');
    this.textPositions = new ScaledPositions(init, max, dModel, dropout('positional_dropout'));
    this.startNorm = new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    this.startDropout = dropout('hidden_dropout');
    this.encoder = this.#stackOf(init, config, 'encoder');
    this.prenet = new DecoderPrenet(init, config, dropout('positional_dropout'));
    this.decoder = this.#stackOf(init, config, 'decoder');
    this.postnet = new DecoderPostnet(init, config, () => dropout('speech_decoder_postnet_dropout'));
  }

  #stackOf(init: Initializer, config: ModelConfig, side: 'encoder' | 'decoder'): Stack {
    const dModel = config.size('hidden_size');
    const heads = config.size(`${side}_attention_heads`);
    const causal = side === 'decoder';
    const dropout = (name: string) => dropoutOf(config, name, this.randomness);
    const relative = causal ? null : relativeKeys(init, config, dModel / heads);
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, {
            dModel,
            heads,
            causal,
            relative: relative && (() => relative),
            dropout: dropout('attention_dropout'),
          }),
        multiheadAttn: causal
          ? () => new TextAttention(init, { dModel, heads, dropout: dropout('attention_dropout') })
          : null,
        feedForward: () =>
          new FeedForward(init, {
            dModel,
            dFF: config.size(`${side}_ffn_dim`),
            activation: activationOf(config.text('hidden_act')),
            dropout: dropout('activation_dropout'),
          }),
        norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
        dropout: () => dropout('hidden_dropout'),
        wiring: 'post',
        randomness: this.randomness,
      });
    const layerDrop = layerDropOf(config, `${side}_layerdrop`, this.randomness);
    return new Stack(config.size(`${side}_layers`), layer, null, { layerDrop });
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['inputIds', 'attentionMask', 'speakerEmbeddings', 'labels'];
  }

  /** The guided attention loss knows lengths alone. */
  protected override get sourcePadding(): PaddingUse {
    return 'dropped';
  }

  /** @internal ONNX exports contain the vocoder, which is a model of its own. */
  override ignores(name: string): boolean {
    return name.startsWith('vocoder.');
  }

  /** `labels`: frames of speech, float32 [B, T, bins], −100 at padding. The decoder reads them one step later. */
  protected override *runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput> {
    const isWanted = options.hiddenStates ?? false;
    const [encoderStates, decoderStates]: (Tensor[] | undefined)[] = isWanted ? [[], []] : [];
    const { memory, unpack: padded } = this.encodeInputs(inputs, encoderStates, layout);
    const labels = this.#labelsOf(inputs.labels, memory.batch.size);
    yield;
    const [size, time] = labels.shape as [number, number, number];
    const frames = this.prenet.forward(this.#shifted(labels), this.#voicesOf(inputs.speakerEmbeddings), this.#passes);
    const steps = Sequences.of(this.device, Array<number>(size).fill(frames.shape[1] as number));
    const wantsLoss = options.loss ?? true;
    const maps: Tensor[] = [];
    const isGuided = wantsLoss && this.settings.flag('use_guided_attention_loss');
    const features = this.#collecting(isGuided ? maps : null, () =>
      this.decoder.forward(frames.reshape(steps.total, -1), steps, { memory, hiddenStates: decoderStates }),
    );
    const rows = (x: Tensor) => x.reshape(size, steps.longest, -1);
    const before = this.postnet.featOut.forward(features).reshape(size, time, -1);
    const after = atOnce(this.postnet.refineInParts(before));
    const output: ModelOutput = { spectrogram: after, encoderLastHiddenState: padded(memory.hidden) };
    if (encoderStates && decoderStates) {
      output.encoderHiddenStates = encoderStates.map(padded);
      output.decoderHiddenStates = decoderStates.map(rows);
    }
    if (!wantsLoss) return output;
    const ends = this.postnet.probOut.forward(features).reshape(size, time);
    output.loss = this.#loss(labels, [before, after], ends, maps, memory.batch.counts);
    for (const map of maps) if (map.node === null) map.dispose();
    return output;
  }

  /**
   * Runs `fn`, and appends the probabilities of attention to the text to `maps`, unless that is null. They outlive
   * their layer, also without a graph.
   */
  #collecting<T>(maps: Tensor[] | null, fn: () => T): T {
    const attentions = this.decoder.layers.map((layer) => layer.multiheadAttn as TextAttention);
    if (maps)
      for (const attention of attentions)
        attention.collect = (weights) => maps.push(weights.node === null ? this.device.keep(weights) : weights);
    try {
      return fn();
    } finally {
      for (const attention of attentions) attention.collect = null;
    }
  }

  #labelsOf(labels: unknown, size: number): Tensor {
    const { settings } = this;
    const [bins, factor] = [settings.size('num_mel_bins'), settings.size('reduction_factor')];
    const expected = `frames of speech, float32 [${size}, T, ${bins}] with T a multiple of ${factor}`;
    if (!(labels instanceof Tensor))
      throw new ArgumentError(`forward: labels is ${describeValue(labels)}, expected ${expected}`);
    checkDType('forward', 'labels', labels, 'float32');
    const [items, time, width] = labels.shape;
    if (labels.shape.length === 3 && items === size && width === bins && (time as number) % factor === 0) return labels;
    throw new ShapeError(`forward: labels is ${describeShape(labels.shape)}, expected ${expected}`);
  }

  /**
   * Returns the decoder's input in training, [B, T / factor, bins]: zeros, then the last frame of each step except the
   * last.
   */
  #shifted(labels: Tensor): Tensor {
    const factor = this.settings.size('reduction_factor');
    const [size, time, bins] = labels.shape as [number, number, number];
    const steps = time / factor;
    const values = labels.dataSync() as Float32Array;
    const shifted = new Float32Array(size * steps * bins);
    for (let item = 0; item < size; item++)
      for (let step = 1; step < steps; step++) {
        const from = (item * time + step * factor - 1) * bins;
        shifted.set(values.subarray(from, from + bins), (item * steps + step) * bins);
      }
    return this.device.tensor(
      shifted.map((value) => (value === PADDING ? 0 : value)),
      [size, steps, bins],
    );
  }

  /** Normalizes speaker embeddings to length 1: [B, features]. */
  #voicesOf(embeddings: Tensor | Float32Array | undefined): Tensor | null {
    if (embeddings === undefined) return null;
    const width = this.settings.size('speaker_embedding_dim');
    const isVector = !(embeddings instanceof Tensor) && ArrayBuffer.isView(embeddings);
    const rows = isVector ? this.device.tensor(Float32Array.from(embeddings), [1, embeddings.length]) : embeddings;
    if (!(rows instanceof Tensor) || rows.shape.at(-1) !== width || rows.shape.length > 2) {
      const shape = rows instanceof Tensor ? describeShape(rows.shape) : describeValue(embeddings);
      throw new ShapeError(`speakerEmbeddings is ${shape}, expected float32 [voices, ${width}]`);
    }
    const voices = rows.reshape(-1, width);
    return div(voices, maximum(sqrt(sum(mul(voices, voices), { axis: 1, keepDims: true })), 1e-12));
  }

  /**
   * The loss: L1 distance of spectrograms before and after refinement, and cross entropy of the end of speech.
   * Attention far from the diagonal adds a penalty (Tachibana et al. 2017, arXiv 1710.08969).
   */
  #loss(
    labels: Tensor,
    spectrograms: readonly [Tensor, Tensor],
    ends: Tensor,
    maps: readonly Tensor[],
    texts: readonly number[],
  ): Tensor {
    const { device } = this;
    const [size, time, bins] = labels.shape as [number, number, number];
    const values = labels.dataSync() as Float32Array;
    const isFrame = (item: number, frame: number) => frame < time && values[(item * time + frame) * bins] !== PADDING;
    const shown = Float32Array.from(values, (value) => (value === PADDING ? 0 : 1));
    const mask = device.tensor(shown, labels.shape);
    const count = shown.reduce((total, mark) => total + mark, 0);
    const distance = (x: Tensor) => scale(sum(abs(mul(sub(x, labels), mask))), 1 / count);
    const perFrame = (of: (item: number, frame: number) => number) =>
      device.tensor(
        Float32Array.from({ length: size * time }, (_, i) => of(Math.floor(i / time), i % time)),
        [size, time],
      );
    const weight = perFrame((item, frame) => (isFrame(item, frame) ? 1 : 0));
    const targets = perFrame((item, frame) => (isFrame(item, frame + 1) ? 0 : 1));
    const posWeight = device.full([1], END_WEIGHT);
    const end = scale(bceWithLogits(ends, targets, { weight, posWeight, reduction: 'sum' }), bins / count);
    const loss = add(spectrograms.map(distance).reduce(add), end);
    if (maps.length === 0) return loss;
    const factor = this.settings.size('reduction_factor');
    const steps = Array.from({ length: size }, (_, item) => {
      const marks = Array.from({ length: time / factor }, (_, step) => isFrame(item, (step + 1) * factor - 1));
      return marks.filter(Boolean).length;
    });
    return add(loss, this.#guide(maps, steps, texts));
  }

  #guide(maps: readonly Tensor[], steps: readonly number[], texts: readonly number[]): Tensor {
    const { settings } = this;
    const sigma = settings.number('guided_attention_loss_sigma');
    const heads = settings.size('guided_attention_loss_num_heads');
    const [size, all, time, width] = (maps[0] as Tensor).shape as [number, number, number, number];
    const penalties = new Float32Array(size * time * width);
    let count = 0;
    for (const [item, length] of texts.entries())
      for (let step = 0; step < (steps[item] as number); step++)
        for (let token = 0; token < length; token++, count++) {
          const stray = token / length - step / (steps[item] as number);
          penalties[(item * time + step) * width + token] = 1 - Math.exp(-(stray ** 2) / (2 * sigma ** 2));
        }
    const guided = Math.min(heads, all);
    const marks = Float32Array.from({ length: all }, (_, head) => (head < guided ? 1 : 0));
    const penalty = mul(
      this.device.tensor(penalties, [size, 1, time, width]),
      this.device.tensor(marks, [1, all, 1, 1]),
    );
    const total = maps.map((weights) => sum(mul(weights, penalty))).reduce(add);
    return scale(total, settings.number('guided_attention_loss_scale') / (count * guided * maps.length));
  }

  /**
   * Speaks a text: a log-mel spectrogram, [frames, bins] row by row. Rejects with ArgumentError or ShapeError for
   * invalid options, and the errors of `forward`.
   */
  async speak(ids: readonly number[] | Int32Array, options: SpeechOptions): Promise<Float32Array> {
    const { threshold = 0.5, seed = 0, ...stopOptions } = checkOptions('speak', options, speechOptions);
    const { minLengthRatio = 0, maxLengthRatio = 20, speakerEmbeddings } = stopOptions;
    const random = new Random(seed as number);
    const { device, settings } = this;
    const [bins, factor] = [settings.size('num_mel_bins'), settings.size('reduction_factor')];
    const batch = this.toBatch('speak', [Array.from(ids)]);
    const memory = await inferenceAsync(this, () => this.encodeBatchInParts(batch));
    const voice = inference(this, () => this.#voicesOf(speakerEmbeddings as Tensor | Float32Array));
    const stepsOf = (ratio: number) => Math.floor((ids.length * ratio) / factor);
    const max = Math.max(1, Math.min(stepsOf(maxLengthRatio), settings.size('max_speech_positions')));
    const state = this.startDecoding({ memory, maxLength: max });
    const frames: Float32Array[] = [];
    let last = new Float32Array(bins);
    try {
      for (let step = 1; ; step++) {
        const { spectrum, ends } = await inferenceAsync(this, () => this.#step(last, { step, state, voice, random }));
        const values = (await spectrum.data()) as Float32Array;
        const logits = (await ends.data()) as Float32Array;
        spectrum.dispose();
        ends.dispose();
        frames.push(values);
        last = values.slice(values.length - bins);
        const end = logits.reduce((total, logit) => total + 1 / (1 + Math.exp(-logit)), 0);
        if (step >= max || (step >= stepsOf(minLengthRatio) && end >= threshold)) break;
      }
    } finally {
      state.dispose();
      for (const resource of [memory.hidden, voice, batch]) resource?.dispose();
    }
    const rough = joinFloats(frames);
    const refined = await inferenceAsync(this, () =>
      this.postnet.refineInParts(device.tensor(rough, [1, rough.length / bins, bins])),
    );
    const spectrogram = (await refined.data()) as Float32Array;
    refined.dispose();
    return spectrogram;
  }

  /** Computes the frames of a step from the frame before, `last`. Yields after each layer. */
  *#step(last: Float32Array, { step, state, voice, random }: SpeechStep): Generator<unknown, WrittenFrames> {
    state.advance();
    const frame = this.device.tensor(last, [1, 1, last.length]);
    const x = this.prenet.forward(frame, voice, random, step - 1).reshape(1, -1);
    const features = yield* this.decoder.stepInParts(x, state);
    return { spectrum: this.postnet.featOut.forward(features), ends: this.postnet.probOut.forward(features) };
  }

  protected override mapsOf(maps: AttentionMaps, _: ModelOutput, { source }: BatchLayout): ModelOutput {
    return {
      encoderAttentions: unpackMaps(maps.encoder, source),
      decoderAttentions: unpackMaps(maps.decoder, null),
      crossAttentions: unpackMaps(maps.cross, null, source),
    };
  }

  protected override embedSource(ids: Tensor, positions: Tensor): Tensor {
    const paddingId = this.settings.numberOrNull('pad_token_id');
    const embedded = this.textPositions.forward(this.tokens.forward(ids, { paddingId }), positions);
    return this.startDropout.forward(this.startNorm.forward(embedded));
  }

  protected override embedTarget(): Tensor {
    throw new ArgumentError('step: SpeechT5 writes frames, not tokens: use speak()');
  }

  override get maxSourceLength(): number {
    return this.settings.size('max_text_positions');
  }

  /** Maximum length of a text in tokens. It is also the maximum number of decoder steps. */
  override get maxLength(): number {
    return Math.max(this.maxSourceLength, this.settings.size('max_speech_positions'));
  }

  protected override get stateNames(): StateNames {
    const [encoder, decoder] = ['encoder', 'decoder'].map((side) => `speecht5.${side}.wrapped_${side}`) as [
      string,
      string,
    ];
    const [reading, writing] = [`${encoder}.layers.*`, `${decoder}.layers.*`];
    const projections = (attention: string) => ['q', 'k', 'v'].map((name) => `${attention}.${name}_proj`);
    return {
      tokens: 'speecht5.encoder.prenet.embed_tokens',
      text_positions: 'speecht5.encoder.prenet.encode_positions',
      start_norm: `${encoder}.layer_norm`,
      'encoder.layers.*.self_attn.relative.key_rows': `${encoder}.embed_positions.pe_k.weight`,
      'encoder.layers.*.self_attn.qkv': projections(`${reading}.attention`),
      'encoder.layers.*.self_attn.out_proj': `${reading}.attention.out_proj`,
      'encoder.layers.*.norm1': `${reading}.layer_norm`,
      'encoder.layers.*.feed_forward.linear1': `${reading}.feed_forward.intermediate_dense`,
      'encoder.layers.*.feed_forward.linear2': `${reading}.feed_forward.output_dense`,
      'encoder.layers.*.norm2': `${reading}.final_layer_norm`,
      prenet: 'speecht5.decoder.prenet',
      'decoder.layers.*.self_attn.qkv': projections(`${writing}.self_attn`),
      'decoder.layers.*.self_attn.out_proj': `${writing}.self_attn.out_proj`,
      'decoder.layers.*.norm1': `${writing}.self_attn_layer_norm`,
      'decoder.layers.*.multihead_attn.qkv': projections(`${writing}.encoder_attn`),
      'decoder.layers.*.multihead_attn.out_proj': `${writing}.encoder_attn.out_proj`,
      'decoder.layers.*.norm2': `${writing}.encoder_attn_layer_norm`,
      'decoder.layers.*.feed_forward.linear1': `${writing}.feed_forward.intermediate_dense`,
      'decoder.layers.*.feed_forward.linear2': `${writing}.feed_forward.output_dense`,
      'decoder.layers.*.norm3': `${writing}.final_layer_norm`,
      postnet: 'speech_decoder_postnet',
    };
  }
}

/** Value that marks padding in labels. */
const PADDING = -100;
/** Weight of frames that end speech. It compensates for their rarity. */
const END_WEIGHT = 5;

/**
 * Relative position vectors that all layers of the encoder share. Rows are the distances −max … max − 1 from key to
 * query.
 */
function relativeKeys(init: Initializer, config: ModelConfig, headSize: number): DistanceRows {
  const max = config.size('encoder_max_relative_position');
  const row = (distance: number) => Math.max(-max, Math.min(max - 1, -distance)) + max;
  return new DistanceRows(init, headSize, { rows: 2 * max, max, row });
}

export const speechT5: Family = {
  model: SpeechT5,
  className: 'SpeechT5',
  defaults: {
    vocab_size: 81,
    hidden_size: 768,
    encoder_layers: 12,
    encoder_attention_heads: 12,
    encoder_ffn_dim: 3072,
    encoder_layerdrop: 0.1,
    decoder_layers: 6,
    decoder_ffn_dim: 3072,
    decoder_attention_heads: 12,
    decoder_layerdrop: 0.1,
    hidden_act: 'gelu',
    positional_dropout: 0.1,
    hidden_dropout: 0.1,
    attention_dropout: 0.1,
    activation_dropout: 0.1,
    layer_norm_eps: 1e-5,
    pad_token_id: 1,
    bos_token_id: 0,
    eos_token_id: 2,
    decoder_start_token_id: 2,
    num_mel_bins: 80,
    speech_decoder_prenet_layers: 2,
    speech_decoder_prenet_units: 256,
    speech_decoder_prenet_dropout: 0.5,
    speaker_embedding_dim: 512,
    speech_decoder_postnet_layers: 5,
    speech_decoder_postnet_units: 256,
    speech_decoder_postnet_kernel: 5,
    speech_decoder_postnet_dropout: 0.5,
    reduction_factor: 2,
    max_speech_positions: 4000,
    max_text_positions: 450,
    encoder_max_relative_position: 160,
    use_guided_attention_loss: true,
    guided_attention_loss_num_heads: 2,
    guided_attention_loss_sigma: 0.4,
    guided_attention_loss_scale: 10,
    tie_word_embeddings: true,
  },
};
