import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { SourceShape } from '../../generate/generative.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Conv1d } from '../../nn/conv.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { OffsetLayerNorm } from '../../nn/norm.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { silu } from '../../ops/activation.js';
import { add, mul } from '../../ops/binary.js';
import { layerNorm } from '../../ops/layer-norm.js';
import { gather, slice } from '../../ops/move.js';
import { abs, exp, log, sign, sqrt } from '../../ops/unary.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { type Json, ModelConfig } from '../model-config.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { encoderNames, MoonshineWriter } from './moonshine.js';

/** Kernel size and stride of both convolutions. */
const [TAPS, STRIDE] = [5, 2];

/**
 * Cuts samples into frames of 5 ms, and normalizes and compresses each. Two causal convolutions then halve the number
 * of frames twice.
 */
class FrameEmbedding extends Module {
  /** A scalar: the logarithm of the factor that is applied before compression. */
  readonly logFactor: Tensor;
  readonly linear: Linear;
  readonly conv1: Conv1d;
  readonly conv2: Conv1d;

  constructor(
    init: Initializer,
    readonly frameLength: number,
    dModel: number,
  ) {
    super();
    const options = { stride: STRIDE, padding: TAPS - 1, channelsLast: true };
    this.logFactor = init.constant([], Math.log(0.75));
    this.linear = new Linear(init, frameLength, dModel, false);
    this.conv1 = new Conv1d(init, { inputs: dModel, outputs: 2 * dModel, kernel: TAPS, ...options });
    this.conv2 = new Conv1d(init, { inputs: 2 * dModel, outputs: dModel, kernel: TAPS, ...options });
  }

  /**
   * `values`: float32 [B, samples]. `samples`: number of samples in each row that are not padding; null if all are.
   * Returns [B, frames, dModel].
   */
  forward(values: Tensor, samples: readonly number[] | null): Tensor {
    const [size, length] = values.shape as [number, number];
    const pieces = values.reshape(size * (length / this.frameLength), this.frameLength);
    const normed = layerNorm(pieces, null, null, { eps: 1e-6 });
    const x = silu(this.linear.forward(asinh(mul(normed, exp(this.logFactor))))).reshape(size, -1, this.frameWidth);
    let counts = samples?.map((count) => Math.floor(count / this.frameLength)) ?? null;
    let y = masked(x, counts);
    for (const conv of [this.conv1, this.conv2]) {
      const frames = halved(y.shape[1] as number);
      y = slice(conv.forward(y), 1, 0, frames); // drops frames that would read padding after the end
      counts = counts?.map((count) => Math.min(frames, reached(count))) ?? null;
      y = masked(y, counts);
      if (conv === this.conv1) y = silu(y);
    }
    return y;
  }

  private get frameWidth(): number {
    return this.linear.weight.shape[1] as number;
  }
}

/** Returns the number of frames after a convolution. */
const halved = (frames: number) => Math.floor((frames - 1) / STRIDE) + 1;
/** Returns how many frames after a convolution depend on at least one of the first `count` frames. */
const reached = (count: number) => (count === 0 ? 0 : Math.ceil((count + TAPS - 1) / STRIDE));

/** Sets the frames of item b from `counts[b]` on to zero. `x`: [B, frames, d]. */
function masked(x: Tensor, counts: readonly number[] | null): Tensor {
  const [size, frames] = x.shape as [number, number];
  if (counts === null || counts.every((count) => count === frames)) return x;
  const marks = counts.flatMap((count) => Array.from({ length: frames }, (_, i) => (i < count ? 1 : 0)));
  return mul(x, x.device.tensor(Float32Array.from(marks), [size, frames, 1]));
}

/** The inverse hyperbolic sine: sign(x) · ln(|x| + √(x² + 1)). */
function asinh(x: Tensor): Tensor {
  return mul(sign(x), log(add(abs(x), sqrt(add(mul(x, x), 1)))));
}

/**
 * Moonshine Streaming (Useful Sensors 2026). The encoder's layers have windows and no positions, so it can process a
 * live stream. The decoder adds positions to the encoded frames. Windows apply with and without a mask.
 */
export class MoonshineStreaming extends MoonshineWriter {
  readonly frames: FrameEmbedding;
  readonly encoder: Stack;
  readonly targetTokens: Embedding;
  readonly decoder: Stack;
  readonly framePositions: Embedding;
  /** Projects the encoder's features to the decoder's size, if the sizes differ. */
  readonly bridgeProjection: Linear | null;
  readonly head: PredictionHead | null;
  readonly #encoderSize: number;

  constructor(context: FamilyContext) {
    super(context, ['none', 'language-model']);
    const { init, config } = context;
    const listening = new ModelConfig(config.object('encoder_config'));
    const size = listening.size('hidden_size');
    this.#encoderSize = size;
    const frameLength = Math.round((listening.size('sample_rate') * listening.number('frame_ms')) / 1000);
    this.frames = new FrameEmbedding(init, frameLength, size);
    this.encoder = this.#encoderOf(init, listening);
    const dModel = config.size('hidden_size');
    this.targetTokens = new Embedding(init, config.size('vocab_size'), dModel);
    const heads = config.size('num_attention_heads');
    if ((config.sizeOrNull('num_key_value_heads') ?? heads) !== heads)
      throw new FormatError(`config.json: num_key_value_heads is not ${heads}, the number of heads`);
    const layers = config.size('num_hidden_layers');
    this.decoder = this.decoderOf(init, config, {
      layers,
      heads,
      headSize: config.size('head_dim'),
      activation: 'hidden_act',
    });
    this.framePositions = new Embedding(init, config.size('max_position_embeddings'), size);
    this.bridgeProjection = size === dModel ? null : new Linear(init, size, dModel, false);
    this.head = this.headOf(context);
  }

  #encoderOf(init: Initializer, config: ModelConfig): Stack {
    const dModel = config.size('hidden_size');
    const norm = () => new OffsetLayerNorm(init, dModel);
    const bias = config.flag('attention_bias');
    const layer = (i: number) =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, {
            dModel,
            heads: config.size('num_attention_heads'),
            kvHeads: config.size('num_key_value_heads'),
            headSize: config.size('head_dim'),
            window: windowOf(config, i),
            bias,
            dropout: dropoutOf(config, 'attention_dropout', this.randomness),
          }),
        feedForward: () =>
          new FeedForward(init, {
            dModel,
            dFF: config.size('intermediate_size'),
            activation: activationOf(config.text('hidden_act')),
          }),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
    return new Stack(config.size('num_hidden_layers'), layer, norm);
  }

  override framesOf(samples: number): number {
    const { frameLength } = this.frames;
    if (samples % frameLength !== 0) return 0;
    const whole = samples / frameLength;
    return whole === 0 ? 0 : halved(halved(whole));
  }

  protected override soundFramesOf(samples: number, frames: number): number {
    return Math.min(frames, reached(reached(Math.floor(samples / this.frames.frameLength))));
  }

  protected override embedSound(values: Tensor, samples: readonly number[] | null): Tensor {
    const x = this.frames.forward(values, samples); // [B, frames, dModel]
    return x.reshape(-1, x.shape[2] as number);
  }

  /** Adds the decoder's positions to the encoder's output. As in transformers, the returned output contains them. */
  protected override withPositions(hidden: Tensor, { positions }: Sequences): Tensor {
    return add(hidden, gather(this.framePositions.weight, positions));
  }

  protected override bridge(hidden: Tensor): Tensor {
    return this.bridgeProjection?.forward(hidden) ?? hidden;
  }

  override get encodedShape(): SourceShape {
    return [null, this.#encoderSize];
  }

  override get maxSourceLength(): number {
    return this.settings.size('max_position_embeddings');
  }

  protected override get stateNames(): StateNames {
    const embedder = 'model.encoder.embedder';
    const layer = 'model.encoder.layers.*';
    return {
      'frames.log_factor': `${embedder}.comp.log_k`,
      'frames.linear': `${embedder}.linear`,
      'frames.conv1': `${embedder}.conv1`,
      'frames.conv2': `${embedder}.conv2`,
      'encoder.layers.*.norm1.weight': `${layer}.input_layernorm.gamma`,
      'encoder.layers.*.norm2.weight': `${layer}.post_attention_layernorm.gamma`,
      ...encoderNames(layer),
      'encoder.norm.weight': 'model.encoder.final_norm.gamma',
      frame_positions: 'model.decoder.pos_emb',
      bridge_projection: 'model.decoder.proj',
      ...this.decoderNames,
    };
  }
}

/** Returns the window of a layer: the number of frames up to and including the current one, and the number after it. */
function windowOf(config: ModelConfig, layer: number): readonly [number, number] {
  const window = config.list('sliding_windows')[layer];
  const isSize = (size: unknown, min: number) => Number.isInteger(size) && (size as number) >= min;
  if (Array.isArray(window) && window.length === 2 && isSize(window[0], 1) && isSize(window[1], 0))
    return window as unknown as readonly [number, number];
  throw new FormatError(
    `config.json: sliding_windows[${layer}] is ${describeValue(window)}, expected a number of frames before and after`,
  );
}

const encoderDefaults: Json = {
  hidden_size: 320,
  intermediate_size: 1280,
  hidden_act: 'gelu',
  num_hidden_layers: 6,
  num_attention_heads: 8,
  num_key_value_heads: 8,
  attention_dropout: 0,
  attention_bias: false,
  sample_rate: 16000,
  frame_ms: 5,
  sliding_windows: [
    [16, 4],
    [16, 4],
    [16, 0],
    [16, 0],
    [16, 4],
    [16, 4],
  ],
};

export const moonshineStreaming: Family = {
  model: MoonshineStreaming,
  className: 'MoonshineStreaming',
  generationClass: 'MoonshineStreamingForConditionalGeneration',
  defaults: {
    vocab_size: 32768,
    hidden_size: 320,
    intermediate_size: 1280,
    num_hidden_layers: 6,
    num_attention_heads: 8,
    hidden_act: 'silu',
    max_position_embeddings: 4096,
    attention_bias: false,
    attention_dropout: 0,
    head_dim: null,
    bos_token_id: 1,
    eos_token_id: 2,
    pad_token_id: 0,
    decoder_start_token_id: null,
    rope_parameters: { rope_type: 'default', rope_theta: 10000, partial_rotary_factor: 0.8 },
    tie_word_embeddings: false,
  },
  complete: (config) => {
    const encoderConfig: Record<string, unknown> = { ...encoderDefaults, ...(config.encoder_config as Json | null) };
    encoderConfig.head_dim ??= Math.floor(
      (encoderConfig.hidden_size as number) / (encoderConfig.num_attention_heads as number),
    );
    config.encoder_config = encoderConfig;
  },
  rope: { theta: 10000, partial: 0.8 },
};
