import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import type { Randomness } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward, type FeedForwardOptions } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { type FeedForwardNetwork, type LayerParts, TransformerLayer } from '../../nn/layer.js';
import type { Mixer } from '../../nn/mixer.js';
import { HeadNorm, type Norm, RMSNorm } from '../../nn/norm.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import { Stack, type StackParts } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { scale } from '../../ops/binary.js';
import { causalHead, headName } from '../causal-head.js';
import { CausalModel } from '../causal-model.js';
import { activationOf, dropoutOf, rotaryOf } from '../config-values.js';
import type { Family, GgufFamily, GgufNumber } from '../family.js';
import { expectKinds } from '../gguf-mixtures.js';
import type { Json, ModelConfig } from '../model-config.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/** Makes the attention of a layer. */
export type MakeAttention = (options: MultiHeadOptions) => MultiHeadAttention;

/**
 * The base of decoders after Llama: pre-norm with RMSNorm, rotary positions, SwiGLU. Each method makes a part; families
 * override those that differ. They are called before the fields of subclasses exist.
 */
export class RotaryDecoder extends CausalModel {
  readonly tokens: Embedding;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    this.tokens = new Embedding(init, config.size('vocab_size'), config.size('hidden_size'));
    const norm = () => this.norm(init, config);
    const layers = this.layers(init, config);
    this.decoder = new Stack(config.size('num_hidden_layers'), layers, norm, this.stackParts(init, config));
    this.head = this.headOf(context);
  }

  /** Returns the parts before the first layer and after the last one. */
  protected stackParts(_init: Initializer, _config: ModelConfig): StackParts {
    return {};
  }

  protected headOf(context: FamilyContext): PredictionHead | null {
    return causalHead(context, this.tokens, this.randomness, {
      answers: this.answersQuestions,
      outputBias: this.outputBias,
    });
  }

  /** True if transformers has a class of the family for question answering. */
  protected get answersQuestions(): boolean {
    return false;
  }

  /** True if the projection to logits adds a bias. */
  protected get outputBias(): boolean {
    return false;
  }

  protected norm(init: Initializer, config: ModelConfig): Norm {
    return new RMSNorm(init, config.size('hidden_size'), config.number('rms_norm_eps'));
  }

  /** Id of the token whose embedding gets no gradient, or null. */
  protected get paddingId(): number | null {
    return this.settings.numberOrNull('pad_token_id');
  }

  /** Returns a function that makes layer i. */
  protected layers(init: Initializer, config: ModelConfig): (i: number) => TransformerLayer {
    const rotary = this.rotaries(init, config);
    const attention = this.attention(init, config);
    const options = (i: number) => ({ rotary: rotary(i), ...this.attentionOptions(init, config, i) });
    return (i) =>
      new TransformerLayer({
        selfAttn: () =>
          this.mixer(init, config, i, () => attention(llamaAttentionOptions(config, this.randomness, options(i)))),
        feedForward: () => this.network(init, config, i),
        norm: () => this.norm(init, config),
        wiring: 'pre',
        randomness: this.randomness,
        ...this.layerParts(init, config),
      });
  }

  /** The rotation of queries and keys of all layers. */
  protected rotary(init: Initializer, config: ModelConfig): RotaryEmbedding | null {
    return rotaryOf(init, config);
  }

  /** Returns the rotation by layer, for families in which layers differ. */
  protected rotaries(init: Initializer, config: ModelConfig): (i: number) => RotaryEmbedding | null {
    const rotary = this.rotary(init, config);
    return () => rotary;
  }

  /** The options in which attention of layer i differs from that of `llamaAttentionOptions`. */
  protected attentionOptions(_init: Initializer, config: ModelConfig, _i: number): Partial<MultiHeadOptions> {
    return { bias: config.flag('attention_bias') };
  }

  /** Returns a function that makes attention, for families with a class of their own. */
  protected attention(init: Initializer, _config: ModelConfig): MakeAttention {
    return (options) => new MultiHeadAttention(init, options);
  }

  /** Makes the part of layer i that mixes tokens: attention, unless a family has others. */
  protected mixer(_init: Initializer, _config: ModelConfig, _i: number, attention: () => Mixer): Mixer {
    return attention();
  }

  /** Makes the feed-forward network of layer i. */
  protected network(init: Initializer, config: ModelConfig, _i: number): FeedForwardNetwork {
    return llamaFeedForward(init, config);
  }

  /** Further parts of each layer, and other norms or another wiring. */
  protected layerParts(_init: Initializer, _config: ModelConfig): Partial<LayerParts> {
    return {};
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.tokens.forward(ids, { paddingId: this.paddingId });
  }

  /** Factor of the logits of a language model. */
  protected get logitScale(): number {
    return 1;
  }

  override logitsOf(features: Tensor): Tensor {
    const logits = super.logitsOf(features);
    const factor = this.headKind === 'language-model' ? this.logitScale : 1;
    return factor === 1 ? logits : scale(logits, factor);
  }

  /** The path of the model without its head. Most classes of transformers that answer questions have an older one. */
  protected override get bodyName(): string {
    return this.headKind === 'question-answering' ? 'transformer' : 'model';
  }

  protected override get stateNames(): StateNames {
    return { ...llamaNames(this.bodyName), 'head.out': headName(this.headKind) };
  }
}

/** Llama 1 to 3 (Touvron et al. 2023, arXiv 2302.13971). */
export class Llama extends RotaryDecoder {
  protected override get answersQuestions(): boolean {
    return true;
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    return llamaFeedForward(init, config, { bias: config.flag('mlp_bias') });
  }
}

/** Causal attention with grouped heads, without biases unless `options` set them. */
export function llamaAttention(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  options: Partial<MultiHeadOptions>,
): MultiHeadAttention {
  return new MultiHeadAttention(init, llamaAttentionOptions(config, randomness, options));
}

/** The options of `llamaAttention`. */
export function llamaAttentionOptions(
  config: ModelConfig,
  randomness: Randomness,
  options: Partial<MultiHeadOptions>,
): MultiHeadOptions {
  return {
    dModel: config.size('hidden_size'),
    heads: config.size('num_attention_heads'),
    kvHeads: config.size('num_key_value_heads'),
    headSize: config.size('head_dim'),
    causal: true,
    bias: false,
    dropout: dropoutOf(config, 'attention_dropout', randomness),
    ...options,
  };
}

type HeadNorms = Pick<MultiHeadOptions, 'qNorm' | 'kNorm'>;

/** RMSNorm of queries and keys within each head: options of attention. */
export function rmsHeadNorms(init: Initializer, config: ModelConfig, eps = config.number('rms_norm_eps')): HeadNorms {
  const norm = () => new RMSNorm(init, config.size('head_dim'), eps);
  return { qNorm: norm, kNorm: norm };
}

/** RMSNorm of queries and keys across all heads: options of attention. */
export function rmsNormsAcrossHeads(init: Initializer, config: ModelConfig): HeadNorms {
  const normOf = (heads: string) => () =>
    new RMSNorm(init, config.size(heads) * config.size('head_dim'), config.number('rms_norm_eps'));
  return { qNorm: normOf('num_attention_heads'), kNorm: normOf('num_key_value_heads') };
}

/** Norms of each head of queries and keys, if the config's `flag` is set: an option of attention. */
export function llamaHeadNorms(init: Initializer, config: ModelConfig, flag: string): HeadNorms {
  const eps = config.number('layer_norm_eps');
  const normOf = (heads: string) =>
    config.flag(flag) ? () => new HeadNorm(init, config.size(heads), config.size('head_dim'), eps) : null;
  return { qNorm: normOf('num_attention_heads'), kNorm: normOf('num_key_value_heads') };
}

/** A gated network without biases unless `options` set them. */
export function llamaFeedForward(
  init: Initializer,
  config: ModelConfig,
  options: Partial<FeedForwardOptions> = {},
): FeedForward {
  const { dFF = config.size('intermediate_size'), activation = activationOf(config.text('hidden_act')) } = options;
  const dModel = config.size('hidden_size');
  return new FeedForward(init, { dModel, gated: true, bias: false, ...options, dFF, activation });
}

/**
 * Returns the names in most decoders' checkpoints. `body`: path of the model without its head. `stack`: our property
 * that holds the layers.
 */
export function llamaNames(body: string, stack: 'decoder' | 'encoder' = 'decoder'): StateNames {
  const [path, layer] = [`${stack}.layers.*`, `${body}.layers.*`];
  return {
    tokens: `${body}.embed_tokens`,
    [`${path}.self_attn.qkv`]: ['q', 'k', 'v'].map((name) => `${layer}.self_attn.${name}_proj`),
    [`${path}.self_attn.out_proj`]: `${layer}.self_attn.o_proj`,
    [`${path}.self_attn.q_norm`]: `${layer}.self_attn.q_norm`,
    [`${path}.self_attn.k_norm`]: `${layer}.self_attn.k_norm`,
    [`${path}.norm1`]: `${layer}.input_layernorm`,
    [`${path}.feed_forward.linear1`]: `${layer}.mlp.gate_proj`,
    [`${path}.feed_forward.linear2`]: `${layer}.mlp.down_proj`,
    [`${path}.feed_forward.linear3`]: `${layer}.mlp.up_proj`,
    [`${path}.norm2`]: `${layer}.post_attention_layernorm`,
    [`${stack}.norm`]: `${body}.norm`,
  };
}

/** Defaults of Llama and of the families that follow it. */
export const decoderDefaults: Json = {
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: null, // the number of heads; files of Llama 1 lack it
  hidden_act: 'silu',
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
  pad_token_id: null,
  bos_token_id: 1,
  eos_token_id: 2,
  tie_word_embeddings: false,
  attention_dropout: 0,
  head_dim: null,
};

const LAYER = 'model.layers.*';

/** Names of most decoders' tensors in GGUF files. */
export const ggufNames: GgufFamily['names'] = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
  'blk.*.attn_norm': `${LAYER}.input_layernorm`,
  'blk.*.attn_q': `${LAYER}.self_attn.q_proj`,
  'blk.*.attn_k': `${LAYER}.self_attn.k_proj`,
  'blk.*.attn_v': `${LAYER}.self_attn.v_proj`,
  'blk.*.attn_output': `${LAYER}.self_attn.o_proj`,
  'blk.*.attn_q_norm': `${LAYER}.self_attn.q_norm`,
  'blk.*.attn_k_norm': `${LAYER}.self_attn.k_norm`,
  'blk.*.ffn_norm': `${LAYER}.post_attention_layernorm`,
  'blk.*.ffn_gate': `${LAYER}.mlp.gate_proj`,
  'blk.*.ffn_up': `${LAYER}.mlp.up_proj`,
  'blk.*.ffn_down': `${LAYER}.mlp.down_proj`,
};

/** Names in GGUF files of decoders with norms only after both sub-layers. */
export const ggufPostNames: GgufFamily['names'] = {
  ...ggufNames,
  'blk.*.post_attention_norm': `${LAYER}.post_attention_layernorm`,
  'blk.*.post_ffw_norm': `${LAYER}.post_feedforward_layernorm`,
};

/** The settings of windows that `saveGguf` writes beside those of decoders. */
export function ggufWindows(config: ModelConfig): Record<string, GgufNumber> {
  const window = config.numberOrNull('sliding_window');
  if (window === null) return {};
  expectKinds('layer_types', config.list('layer_types'), ['sliding_attention']);
  return {
    'attention.sliding_window': { uint32: window },
    'attention.sliding_window_pattern': {
      bools: config.list('layer_types').map((kind) => kind === 'sliding_attention'),
    },
  };
}

export const llama: Family = {
  model: Llama,
  className: 'Llama',
  defaults: { ...decoderDefaults, attention_bias: false, mlp_bias: false },
  rope: { theta: 10000 },
  gguf: { names: ggufNames, pairedRows: ['attn_q', 'attn_k'], saved: () => ({}) },
};
