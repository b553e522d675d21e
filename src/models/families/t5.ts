import type { Tensor } from '../../core/tensor.js';
import type { DecodingOptions } from '../../generate/generative.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import type { DecoderState } from '../../nn/decoder-state.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { RMSNorm } from '../../nn/norm.js';
import { BucketBias } from '../../nn/position-bias.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { scale } from '../../ops/binary.js';
import { activationOf, dropoutOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family, GgufFamily, GgufNumber, GgufSettings } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { labelsOf } from '../labels.js';
import type { Json, ModelConfig } from '../model-config.js';
import { chooseHead, PredictionHead } from '../prediction-head.js';
import type { FamilyContext, HeadKind } from '../pretrained-model.js';
import { seq2seqHead } from '../seq2seq-head.js';
import { Seq2SeqModel } from '../seq2seq-model.js';

/** Maximum length of a sequence. Relative positions have no limit, but `maxLength` must be a number. */
const MAX_LENGTH = 2 ** 20;
/** Length of the training texts of the published models, in tokens. */
const TRAINED = 512;

/**
 * T5 (Raffel et al. 2020, arXiv 1910.10683), its version 1.1 with gated layers, Flan-T5, mT5 and UMT5. They are
 * pre-norm with RMSNorm and without biases. Scores are not scaled and have a bias per bucket of distances.
 */
export class T5 extends Seq2SeqModel {
  readonly tokens: Embedding;
  readonly sourceTokens: Embedding;
  readonly targetTokens: Embedding;
  readonly sourceDropout: Dropout;
  readonly targetDropout: Dropout;
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(
    context: FamilyContext,
    heads: readonly HeadKind[] = ['none', 'language-model', 'sequence-classification', 'question-answering'],
  ) {
    super(context, heads);
    const { init, config } = context;
    this.tokens = new Embedding(init, config.size('vocab_size'), config.size('d_model'));
    this.sourceTokens = this.tokens;
    this.targetTokens = this.tokens;
    this.sourceDropout = t5Dropout(config, this.randomness);
    this.targetDropout = t5Dropout(config, this.randomness);
    this.encoder = this.makeEncoder(context);
    this.decoder = t5Stack(init, config, this.randomness, true);
    this.head = seq2seqHead(context, this.tokens, config.flag('tie_word_embeddings'), this.randomness);
  }

  /** Makes the encoder. The constructor calls it; LongT5 overrides it. */
  protected makeEncoder({ init, config }: FamilyContext): Stack {
    return t5Stack(init, config, this.randomness, false);
  }

  protected embedSource(ids: Tensor): Tensor {
    return this.sourceDropout.forward(this.sourceTokens.forward(ids));
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.targetDropout.forward(this.targetTokens.forward(ids));
  }

  /**
   * Scales the features in version 1.0. There, the embedding is also the output projection, and its values are large.
   */
  override logitsOf(features: Tensor): Tensor {
    const isScaled = this.settings.type !== 'mt5' && this.settings.flag('scale_decoder_outputs');
    return super.logitsOf(isScaled ? scale(features, this.settings.size('d_model') ** -0.5) : features);
  }

  override get maxLength(): number {
    return MAX_LENGTH;
  }

  /** Starts decoding. Without a `maxLength` there is room for T5's training length. */
  override startDecoding(options: DecodingOptions = {}): DecoderState {
    return super.startDecoding({ ...options, maxLength: options.maxLength ?? TRAINED });
  }

  protected override get stateNames(): StateNames {
    const body = this.headKind === 'sequence-classification' ? 'transformer.' : '';
    const [encoder, decoder] = [`${body}encoder`, `${body}decoder`];
    const classifier = this.headKind === 'sequence-classification' ? 'classification_head.out_proj' : 'qa_outputs';
    return {
      tokens: `${body}shared`,
      source_tokens: `${encoder}.embed_tokens`,
      target_tokens: `${decoder}.embed_tokens`,
      ...t5StackNames(this.settings, 'encoder', encoder, 1),
      ...t5StackNames(this.settings, 'decoder', decoder, 2),
      'head.dense': 'classification_head.dense',
      'head.out': this.headKind === 'language-model' ? 'lm_head' : classifier,
    };
  }
}

/** T5's encoder alone: vectors of tokens, as sentence-transformers' T5 models use them, or labels of tokens. */
export class T5Encoder extends EncoderModel {
  protected override readonly readsTypes = false;
  readonly tokens: Embedding;
  readonly sourceTokens: Embedding;
  readonly sourceDropout: Dropout;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config, head } = context;
    const features = config.size('d_model');
    this.tokens = new Embedding(init, config.size('vocab_size'), features);
    this.sourceTokens = this.tokens;
    this.sourceDropout = t5Dropout(config, this.randomness);
    this.encoder = this.makeEncoder(context);
    this.head = chooseHead(config, head, {
      'token-classification': () =>
        new PredictionHead({
          pick: 'tokens',
          dropout: dropoutOf(config, 'classifier_dropout', this.randomness),
          out: new Linear(init, features, labelsOf(config.values).length),
        }),
    });
  }

  /** Makes the encoder. The constructor calls it; LongT5 overrides it. */
  protected makeEncoder({ init, config }: FamilyContext): Stack {
    return t5Stack(init, config, this.randomness, false);
  }

  protected embed(ids: Tensor): Tensor {
    return this.sourceDropout.forward(this.sourceTokens.forward(ids));
  }

  override get maxLength(): number {
    return MAX_LENGTH;
  }

  protected override get bodyName(): string {
    return 'transformer';
  }

  protected override get stateNames(): StateNames {
    return {
      tokens: 'transformer.shared',
      source_tokens: 'transformer.encoder.embed_tokens',
      ...t5StackNames(this.settings, 'encoder', 'transformer.encoder', 1),
      'head.out': 'classifier',
    };
  }
}

function t5Dropout(config: ModelConfig, randomness: Randomness): Dropout {
  return new Dropout(config.number('dropout_rate'), randomness);
}

/** The encoder or the decoder. `selfAttention` makes the attention of a layer from the usual options. */
export function t5Stack(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  isDecoder: boolean,
  selfAttention = (options: MultiHeadOptions) => new MultiHeadAttention(init, options),
): Stack {
  const [dModel, heads, headSize] = [config.size('d_model'), config.size('num_heads'), config.size('d_kv')];
  const [buckets, distance] = ['num_buckets', 'max_distance'].map((name) => config.size(`relative_attention_${name}`));
  const bias = () =>
    new BucketBias(init, {
      heads,
      buckets: buckets as number,
      maxDistance: distance as number,
      bidirectional: !isDecoder,
    });
  const positionBias = hasBiases(config) ? bias : bias();
  const norm = () => new RMSNorm(init, dModel, config.number('layer_norm_epsilon'));
  const dropout = () => t5Dropout(config, randomness);
  const attention = () => ({ dModel, heads, headSize, bias: false, scale: 1, dropout: dropout() });
  const layer = () =>
    new TransformerLayer({
      selfAttn: () => selfAttention({ ...attention(), causal: isDecoder, positionBias }),
      multiheadAttn: isDecoder ? () => new MultiHeadAttention(init, attention()) : null,
      feedForward: () =>
        new FeedForward(init, {
          dModel,
          dFF: config.size('d_ff'),
          activation: activationOf(config.text('dense_act_fn')),
          gated: config.flag('is_gated_act'),
          bias: false,
          dropout: dropout(),
        }),
      norm,
      dropout,
      wiring: 'pre',
      randomness,
    });
  return new Stack(config.size(isDecoder ? 'num_decoder_layers' : 'num_layers'), layer, norm, { dropout });
}

/** True if each layer has its own biases of distances. Otherwise all layers of a stack share them. */
function hasBiases(config: ModelConfig): boolean {
  return config.type === 'umt5';
}

/** Names of a stack in checkpoints. `last` is the index of its feed-forward sub-layer. */
function t5StackNames(config: ModelConfig, stack: string, name: string, last: number): StateNames {
  const [layers, block] = [`${stack}.layers.*`, `${name}.block.*.layer`];
  const [attention, network] = [`${block}.0.SelfAttention`, `${block}.${last}.DenseReluDense`];
  const projections = (of: string) => ['q', 'k', 'v'].map((letter) => `${of}.${letter}`);
  const cross = `${block}.1.EncDecAttention`;
  return {
    [`${stack}.layers.0.self_attn.position_bias`]: `${name}.block.0.layer.0.SelfAttention.relative_attention_bias`,
    [`${layers}.self_attn.position_bias`]: hasBiases(config) ? `${attention}.relative_attention_bias` : [null],
    [`${layers}.self_attn.qkv`]: projections(attention),
    [`${layers}.self_attn.out_proj`]: `${attention}.o`,
    [`${layers}.norm1`]: `${block}.0.layer_norm`,
    [`${layers}.multihead_attn.qkv`]: projections(cross),
    [`${layers}.multihead_attn.out_proj`]: `${cross}.o`,
    [`${layers}.norm2`]: `${block}.1.layer_norm`,
    [`${layers}.norm3`]: `${block}.2.layer_norm`,
    [`${layers}.feed_forward.linear1`]: `${network}.${config.flag('is_gated_act') ? 'wi_0' : 'wi'}`,
    [`${layers}.feed_forward.linear2`]: `${network}.wo`,
    [`${layers}.feed_forward.linear3`]: `${network}.wi_1`,
    [`${stack}.norm`]: `${name}.final_layer_norm`,
  };
}

/**
 * The feed-forward network: `relu`, or `gated-gelu` with the approximation by tanh. Logits are scaled by d_model^−½ in
 * T5 1.0, but not in 1.1; `tie_word_embeddings` distinguishes them.
 */
function completeT5(config: Record<string, unknown>, fileConfig: Json): void {
  config.num_decoder_layers ??= config.num_layers;
  const feedForward = String(config.feed_forward_proj);
  const [gated, act] = feedForward.startsWith('gated-') ? [true, feedForward.slice(6)] : [false, feedForward];
  config.is_gated_act ??= gated; // configs of transformers have these settings, which then take precedence
  config.dense_act_fn ??= feedForward === 'gated-gelu' ? 'gelu_new' : act;
  config.tie_word_embeddings = true; // version 1.1 is the exception: its files have both tables
  config.scale_decoder_outputs = fileConfig.scale_decoder_outputs ?? fileConfig.tie_word_embeddings !== false;
}

/** Names in GGUF files. A file with gates has the matrices `wi_0` and `wi_1` instead of `wi`. */
const ggufNames = (isGated: boolean) => ({
  token_embd: 'shared',
  output: 'lm_head',
  ...ggufStack('enc', 'encoder', 1, isGated),
  ...ggufStack('dec', 'decoder', 2, isGated),
});

/** Names of a stack in GGUF files. `last` is the index of its feed-forward sub-layer. */
function ggufStack(from: string, to: string, last: number, isGated: boolean): Record<string, string> {
  const sub = `${to}.block.*.layer`;
  return {
    [`${from}.output_norm`]: `${to}.final_layer_norm`,
    [`${from}.blk.*.attn_q`]: `${sub}.0.SelfAttention.q`,
    [`${from}.blk.*.attn_k`]: `${sub}.0.SelfAttention.k`,
    [`${from}.blk.*.attn_v`]: `${sub}.0.SelfAttention.v`,
    [`${from}.blk.*.attn_o`]: `${sub}.0.SelfAttention.o`,
    [`${from}.blk.*.attn_rel_b`]: `${sub}.0.SelfAttention.relative_attention_bias`,
    [`${from}.blk.*.attn_norm`]: `${sub}.0.layer_norm`,
    [`${from}.blk.*.cross_attn_q`]: `${sub}.1.EncDecAttention.q`,
    [`${from}.blk.*.cross_attn_k`]: `${sub}.1.EncDecAttention.k`,
    [`${from}.blk.*.cross_attn_v`]: `${sub}.1.EncDecAttention.v`,
    [`${from}.blk.*.cross_attn_o`]: `${sub}.1.EncDecAttention.o`,
    [`${from}.blk.*.cross_attn_norm`]: `${sub}.1.layer_norm`,
    [`${from}.blk.*.ffn_gate`]: `${sub}.${last}.DenseReluDense.wi_0`,
    [`${from}.blk.*.ffn_up`]: `${sub}.${last}.DenseReluDense.${isGated ? 'wi_1' : 'wi'}`,
    [`${from}.blk.*.ffn_down`]: `${sub}.${last}.DenseReluDense.wo`,
    [`${from}.blk.*.ffn_norm`]: `${sub}.${last}.layer_norm`,
  };
}

/** The config in a GGUF file: UMT5's if every layer has its own biases of distances. */
function ggufConfig(file: GgufSettings): Json {
  const [layers, heads, width] = ['block_count', 'attention.head_count', 'embedding_length'].map((name) =>
    file.needed(name),
  ) as [number, number, number];
  return {
    d_model: width,
    d_kv: file.number('attention.key_length') ?? Math.floor(width / heads),
    d_ff: file.needed('feed_forward_length'),
    num_layers: layers,
    num_decoder_layers: file.number('decoder_block_count') ?? layers,
    num_heads: heads,
    relative_attention_num_buckets: file.number('attention.relative_buckets_count') ?? 32,
    layer_norm_epsilon: file.needed('attention.layer_norm_rms_epsilon'),
    feed_forward_proj: file.tensors.has(GATE) ? 'gated-gelu' : 'relu',
    decoder_start_token_id: file.number('decoder_start_token_id') ?? 0,
    tie_word_embeddings: !file.tensors.has('output.weight'),
    ...(file.tensors.has('enc.blk.1.attn_rel_b.weight') && {
      model_type: 'umt5',
      architectures: [umt5.generationClass],
    }),
    ...(file.architecture === 't5encoder' && { architectures: ['T5EncoderModel'], is_encoder_decoder: false }),
  };
}

/** The settings that `saveGguf` writes. */
function ggufSaved(config: ModelConfig): Readonly<Record<string, GgufNumber>> {
  const isGated = config.flag('is_gated_act');
  expectForGguf(config, { dense_act_fn: isGated ? 'gelu_new' : 'relu', relative_attention_max_distance: 128 });
  // A file without a matrix of outputs is read as T5 1.0, which scales the decoder's features.
  const isTied = config.flag('tie_word_embeddings');
  expectForGguf(config, config.type === 'mt5' ? { tie_word_embeddings: false } : { scale_decoder_outputs: isTied });
  const count = (name: string) => ({ uint32: config.size(name) });
  const epsilon = { float32: config.number('layer_norm_epsilon') };
  return {
    context_length: { uint32: TRAINED },
    embedding_length: count('d_model'),
    feed_forward_length: count('d_ff'),
    block_count: count('num_layers'),
    decoder_block_count: count('num_decoder_layers'),
    'attention.head_count': count('num_heads'),
    'attention.key_length': count('d_kv'),
    'attention.value_length': count('d_kv'),
    'attention.relative_buckets_count': count('relative_attention_num_buckets'),
    'attention.layer_norm_epsilon': epsilon,
    'attention.layer_norm_rms_epsilon': epsilon,
    decoder_start_token_id: { uint32: config.number('decoder_start_token_id') },
  };
}

const GATE = 'enc.blk.0.ffn_gate.weight';
const gguf: GgufFamily = { names: ggufNames(false), config: ggufConfig, saved: ggufSaved };
const gated = { tensor: GATE, isOf: (config: ModelConfig) => config.flag('is_gated_act') };

export const t5: Family = {
  model: T5,
  encoder: T5Encoder,
  encoderOnly: 'ForTokenClassification',
  className: 'T5',
  generationClass: 'T5ForConditionalGeneration',
  defaults: {
    d_model: 512,
    d_kv: 64,
    d_ff: 2048,
    num_layers: 6,
    num_decoder_layers: null,
    num_heads: 8,
    relative_attention_num_buckets: 32,
    relative_attention_max_distance: 128,
    dropout_rate: 0.1,
    layer_norm_epsilon: 1e-6,
    feed_forward_proj: 'relu',
    pad_token_id: 0,
    eos_token_id: 1,
    classifier_dropout: 0,
  },
  complete: completeT5,
  gguf: { ...gguf, variants: [{ ...gated, gguf: { ...gguf, names: ggufNames(true) } }] },
};

export const mt5: Family = {
  model: T5,
  encoder: T5Encoder,
  encoderOnly: 'ForTokenClassification',
  className: 'MT5',
  generationClass: 'MT5ForConditionalGeneration',
  defaults: {
    ...t5.defaults,
    d_ff: 1024,
    num_layers: 8,
    num_heads: 6,
    feed_forward_proj: 'gated-gelu',
    decoder_start_token_id: 0,
  },
  complete: completeT5,
  ...(t5.gguf && { gguf: t5.gguf }),
};

/** UMT5 (Chung et al. 2023, arXiv 2304.09151): mT5 with biases of distances in each layer. */
export const umt5: Family = { ...mt5, className: 'UMT5', generationClass: 'UMT5ForConditionalGeneration' };
