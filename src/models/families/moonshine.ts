import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { SourceShape } from '../../generate/generative.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Conv1d } from '../../nn/conv.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { GroupNorm, LayerNorm } from '../../nn/norm.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { gelu, tanh } from '../../ops/activation.js';
import { transpose } from '../../ops/move.js';
import { activationOf, dropoutOf, rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { SoundSeq2SeqModel } from '../sound-seq2seq-model.js';

/** Samples per frame: the product of the strides of the three convolutions. */
const STEP = 64 * 3 * 2;

/** The decoder of Moonshine: rotary self-attention, attention to the frames, and a gated network. */
export abstract class MoonshineWriter extends SoundSeq2SeqModel {
  abstract readonly targetTokens: Embedding;

  /** Returns the decoder: pre-norm layers with the given sizes. */
  protected decoderOf(init: Initializer, config: ModelConfig, sizes: DecoderSizes): Stack {
    const dModel = config.size('hidden_size');
    const { heads, layers, headSize } = sizes;
    const bias = config.flag('attention_bias');
    const rotary = rotaryOf(init, config, { headSize, layout: 'interleaved' });
    const dropout = () => dropoutOf(config, 'attention_dropout', this.randomness);
    const norm = () => new LayerNorm(init, dModel, undefined, false);
    const attention = (causal: boolean, rotation: RotaryEmbedding | null) => () =>
      new MultiHeadAttention(init, {
        dModel,
        heads,
        headSize,
        bias,
        outBias: false,
        causal,
        rotary: rotation,
        dropout: dropout(),
      });
    const layer = () =>
      new TransformerLayer({
        selfAttn: attention(true, rotary),
        multiheadAttn: attention(false, null),
        feedForward: () =>
          new FeedForward(init, {
            dModel,
            dFF: config.size('intermediate_size'),
            activation: activationOf(config.text(sizes.activation)),
            gated: true,
            fused: 'gateLast',
          }),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
    return new Stack(layers, layer, norm);
  }

  protected headOf({ init, config, head }: FamilyContext): PredictionHead | null {
    if (head === 'none') return null;
    const out = vocabularyOutput(init, this.targetTokens, config.flag('tie_word_embeddings'), false);
    return new PredictionHead({ pick: 'tokens', out });
  }

  protected override embedTarget(ids: Tensor): Tensor {
    return this.targetTokens.forward(ids, { paddingId: this.settings.numberOrNull('pad_token_id') });
  }

  protected get decoderNames(): StateNames {
    const layer = 'model.decoder.layers.*';
    return {
      target_tokens: 'model.decoder.embed_tokens',
      'decoder.layers.*.self_attn.qkv': projections(`${layer}.self_attn`),
      'decoder.layers.*.self_attn.out_proj': `${layer}.self_attn.o_proj`,
      'decoder.layers.*.norm1': `${layer}.input_layernorm`,
      'decoder.layers.*.multihead_attn.qkv': projections(`${layer}.encoder_attn`),
      'decoder.layers.*.multihead_attn.out_proj': `${layer}.encoder_attn.o_proj`,
      'decoder.layers.*.norm2': `${layer}.post_attention_layernorm`,
      'decoder.layers.*.feed_forward.linear1': `${layer}.mlp.fc1`,
      'decoder.layers.*.feed_forward.linear2': `${layer}.mlp.fc2`,
      'decoder.layers.*.norm3': `${layer}.final_layernorm`,
      'decoder.norm': 'model.decoder.norm',
      'head.out': 'proj_out',
    };
  }
}

interface DecoderSizes {
  readonly layers: number;
  readonly heads: number;
  readonly headSize: number;
  /** Name of the setting of the activation. */
  readonly activation: string;
}

/**
 * Moonshine (Jeffries et al. 2024, arXiv 2410.15608): three convolutions turn raw samples into 41 frames per second.
 * Pre-norm layers with rotary positions encode them without padding to a fixed length. A decoder writes the text.
 */
export class Moonshine extends MoonshineWriter {
  readonly conv1: Conv1d;
  readonly groupNorm: GroupNorm;
  readonly conv2: Conv1d;
  readonly conv3: Conv1d;
  readonly encoder: Stack;
  readonly targetTokens: Embedding;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'language-model']);
    const { init, config } = context;
    const dModel = config.size('hidden_size');
    const heads = headsOf(config);
    const headSize = config.sizeOrNull('head_dim') ?? Math.floor(dModel / heads);
    this.conv1 = new Conv1d(init, {
      inputs: 1,
      outputs: dModel,
      kernel: 127,
      stride: 64,
      channelsLast: true,
      bias: false,
    });
    this.groupNorm = new GroupNorm(init, 1, dModel);
    this.conv2 = new Conv1d(init, { inputs: dModel, outputs: 2 * dModel, kernel: 7, stride: 3, channelsLast: true });
    this.conv3 = new Conv1d(init, { inputs: 2 * dModel, outputs: dModel, kernel: 3, stride: 2, channelsLast: true });
    const rotary = rotaryOf(init, config, { headSize, layout: 'interleaved', limit: this.maxSourceLength });
    const norm = () => new LayerNorm(init, dModel, undefined, false);
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, {
            dModel,
            heads,
            headSize,
            rotary,
            bias: config.flag('attention_bias'),
            outBias: false,
            dropout: dropoutOf(config, 'attention_dropout', this.randomness),
          }),
        feedForward: () =>
          new FeedForward(init, {
            dModel,
            dFF: config.size('intermediate_size'),
            activation: activationOf(config.text('encoder_hidden_act')),
          }),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('encoder_num_hidden_layers'), layer, norm);
    this.targetTokens = new Embedding(init, config.size('vocab_size'), dModel);
    const layers = config.size('decoder_num_hidden_layers');
    this.decoder = this.decoderOf(init, config, { layers, heads, headSize, activation: 'decoder_hidden_act' });
    this.head = this.headOf(context);
  }

  override framesOf(samples: number): number {
    const through = (count: number, taps: number, stride: number) => Math.floor((count - taps) / stride) + 1;
    return through(through(through(samples, 127, 64), 7, 3), 3, 2);
  }

  /** Returns the number of frames whose first sample is not padding. */
  protected override soundFramesOf(samples: number, frames: number): number {
    return Math.min(frames, Math.ceil(samples / STEP));
  }

  protected override embedSound(values: Tensor): Tensor {
    const samples = values.reshape(...values.shape, 1); // [B, samples, 1]
    const x = transpose(tanh(this.conv1.forward(samples))); // [B, dModel, T]
    const normed = transpose(this.groupNorm.forward(x));
    const y = gelu(this.conv3.forward(gelu(this.conv2.forward(normed)))); // [B, frames, dModel]
    return y.reshape(-1, y.shape[2] as number);
  }

  override get encodedShape(): SourceShape {
    return [null, this.settings.size('hidden_size')];
  }

  protected override get stateNames(): StateNames {
    const layer = 'model.encoder.layers.*';
    return {
      conv1: 'model.encoder.conv1',
      group_norm: 'model.encoder.groupnorm',
      conv2: 'model.encoder.conv2',
      conv3: 'model.encoder.conv3',
      ...encoderNames(layer),
      'encoder.norm': 'model.encoder.layer_norm',
      ...this.decoderNames,
    };
  }
}

/** Names of an encoder's layers, shared with Moonshine Streaming. */
export function encoderNames(layer: string): StateNames {
  return {
    'encoder.layers.*.self_attn.qkv': projections(`${layer}.self_attn`),
    'encoder.layers.*.self_attn.out_proj': `${layer}.self_attn.o_proj`,
    'encoder.layers.*.norm1': `${layer}.input_layernorm`,
    'encoder.layers.*.feed_forward.linear1': `${layer}.mlp.fc1`,
    'encoder.layers.*.feed_forward.linear2': `${layer}.mlp.fc2`,
    'encoder.layers.*.norm2': `${layer}.post_attention_layernorm`,
  };
}

function projections(attention: string): string[] {
  return ['q', 'k', 'v'].map((name) => `${attention}.${name}_proj`);
}

/**
 * Returns the number of heads of all attention layers. transformers uses the encoder's number everywhere, and requires
 * as many heads of keys.
 */
function headsOf(config: ModelConfig): number {
  const heads = config.size('encoder_num_attention_heads');
  const others = ['decoder_num_attention_heads', 'encoder_num_key_value_heads', 'decoder_num_key_value_heads'];
  for (const name of others) {
    const kvHeads = config.sizeOrNull(name) ?? heads;
    if (kvHeads !== heads)
      throw new FormatError(`config.json: ${name} is ${kvHeads}, expected encoder_num_attention_heads, ${heads}`);
  }
  return heads;
}

export const moonshine: Family = {
  model: Moonshine,
  className: 'Moonshine',
  generationClass: 'MoonshineForConditionalGeneration',
  defaults: {
    vocab_size: 32768,
    hidden_size: 288,
    intermediate_size: 1152,
    encoder_num_hidden_layers: 6,
    decoder_num_hidden_layers: 6,
    encoder_num_attention_heads: 8,
    decoder_num_attention_heads: 8,
    encoder_num_key_value_heads: null,
    decoder_num_key_value_heads: null,
    encoder_hidden_act: 'gelu',
    decoder_hidden_act: 'silu',
    max_position_embeddings: 512,
    decoder_start_token_id: 1,
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 1,
    eos_token_id: 2,
    pad_token_id: null,
    tie_word_embeddings: true,
  },
  rope: { theta: 10000, partial: 0.9 },
};
