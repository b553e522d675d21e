import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import type { Mixer } from '../../nn/mixer.js';
import { MixtureOfExperts } from '../../nn/mixture-of-experts.js';
import { type Norm, RMSNorm } from '../../nn/norm.js';
import { ShortConv } from '../../nn/short-conv.js';
import type { StateNames } from '../../nn/state-names.js';
import { headName } from '../causal-head.js';
import { expertSizes } from '../config-values.js';
import type { Family, GgufFamily, GgufNumber, GgufSettings } from '../family.js';
import { expectForGguf, expectKinds, ggufExpertCounts } from '../gguf-mixtures.js';
import { eachLayer, type Json, type ModelConfig, numberIn } from '../model-config.js';
import { decoderDefaults, llamaFeedForward, RotaryDecoder, rmsHeadNorms } from './llama.js';

/** LFM2 (Liquid AI 2025, arXiv 2511.23404): most layers mix tokens by short gated convolutions, some by attention. */
export class Lfm2 extends RotaryDecoder {
  protected override norm(init: Initializer, config: ModelConfig): Norm {
    return new RMSNorm(init, config.size('hidden_size'), config.number('norm_eps'));
  }

  protected override attentionOptions(init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    return rmsHeadNorms(init, config, config.number('norm_eps'));
  }

  protected override mixer(init: Initializer, config: ModelConfig, i: number, attention: () => Mixer): Mixer {
    if (isAttention(config, i)) return attention();
    const [dModel, taps] = [config.size('hidden_size'), config.size('conv_L_cache')];
    return new ShortConv(init, { dModel, taps, bias: config.flag('conv_bias') });
  }

  protected override network(init: Initializer, config: ModelConfig, _i: number): FeedForwardNetwork {
    return llamaFeedForward(init, config, { dFF: widthOf(config) });
  }

  protected override get stateNames(): StateNames {
    const [path, layer] = ['decoder.layers.*', 'model.layers.*'];
    return {
      tokens: 'model.embed_tokens',
      [`${path}.self_attn.in_proj`]: `${layer}.conv.in_proj`,
      [`${path}.self_attn.conv`]: `${layer}.conv.conv`,
      ...this.outNames,
      [`${path}.self_attn.qkv`]: ['q', 'k', 'v'].map((name) => `${layer}.self_attn.${name}_proj`),
      [`${path}.self_attn.q_norm`]: `${layer}.self_attn.q_layernorm`,
      [`${path}.self_attn.k_norm`]: `${layer}.self_attn.k_layernorm`,
      [`${path}.norm1`]: `${layer}.operator_norm`,
      [`${path}.feed_forward.linear1`]: `${layer}.feed_forward.w1`,
      [`${path}.feed_forward.linear2`]: `${layer}.feed_forward.w2`,
      [`${path}.feed_forward.linear3`]: `${layer}.feed_forward.w3`,
      [`${path}.norm2`]: `${layer}.ffn_norm`,
      'decoder.norm': 'model.embedding_norm',
      'head.out': headName(this.headKind),
    };
  }

  /** The names of output projections: of attention or of a convolution, by layer. */
  protected get outNames(): StateNames {
    const { settings } = this;
    return Object.fromEntries(
      eachLayer(settings.values, (i) => {
        const part = isAttention(settings, i) ? 'self_attn' : 'conv';
        return [`decoder.layers.${i}.self_attn.out_proj`, `model.layers.${i}.${part}.out_proj`];
      }),
    );
  }
}

/** LFM2-MoE: after some dense layers, feed-forward networks are mixtures of experts, routed as in DeepSeek-V3. */
export class Lfm2Moe extends Lfm2 {
  protected override network(init: Initializer, config: ModelConfig, layer: number): FeedForwardNetwork {
    if (layer < config.number('num_dense_layers')) return llamaFeedForward(init, config);
    return new MixtureOfExperts(init, {
      ...expertSizes(config, 'num_experts', 'moe_intermediate_size'),
      weights: 'sigmoid',
      normalized: config.flag('norm_topk_prob'),
      sumEpsilon: 1e-6,
      scale: config.number('routed_scaling_factor'),
      choiceBias: config.flag('use_expert_bias'),
    });
  }

  protected override get stateNames(): StateNames {
    const [path, block] = ['decoder.layers.*.feed_forward', 'model.layers.*.feed_forward'];
    const expertNames = (name: string) =>
      Array.from({ length: this.settings.size('num_experts') }, (_, i) => `${block}.experts.${i}.${name}`);
    return {
      [`${path}.router`]: `${block}.gate`,
      [`${path}.choice_bias`]: `${block}.expert_bias`,
      [`${path}.gates`]: expertNames('w1'),
      [`${path}.ups`]: expertNames('w3'),
      [`${path}.downs`]: expertNames('w2'),
      ...super.stateNames,
    };
  }
}

/** True if a layer has attention, false if it has a convolution. */
function isAttention(config: ModelConfig, layer: number): boolean {
  return config.choice('layer_types', layer, { full_attention: true, conv: false });
}

/** Returns the hidden size of a feed-forward network: two thirds of the setting, rounded up to a multiple. */
function widthOf(config: ModelConfig): number {
  const width = config.size('intermediate_size');
  if (!config.flag('block_auto_adjust_ff_dim')) return width;
  const factor = config.numberOrNull('block_ffn_dim_multiplier');
  const adjusted = Math.floor((2 * width) / 3);
  if (factor === null) return adjusted;
  const multiple = config.size('block_multiple_of');
  return multiple * Math.ceil(Math.floor(factor * adjusted) / multiple);
}

const LAYER = 'model.layers.*';

/** Names in GGUF files. There, the norm after the last layer has the name of a norm of embeddings. */
const lfm2GgufNames: GgufFamily['names'] = {
  token_embd: 'model.embed_tokens',
  token_embd_norm: 'model.embedding_norm',
  output: 'lm_head',
  'blk.*.attn_norm': `${LAYER}.operator_norm`,
  'blk.*.shortconv.conv': `${LAYER}.conv.conv`,
  'blk.*.shortconv.in_proj': `${LAYER}.conv.in_proj`,
  'blk.*.shortconv.out_proj': `${LAYER}.conv.out_proj`,
  'blk.*.attn_q': `${LAYER}.self_attn.q_proj`,
  'blk.*.attn_k': `${LAYER}.self_attn.k_proj`,
  'blk.*.attn_v': `${LAYER}.self_attn.v_proj`,
  'blk.*.attn_output': `${LAYER}.self_attn.out_proj`,
  'blk.*.attn_q_norm': `${LAYER}.self_attn.q_layernorm`,
  'blk.*.attn_k_norm': `${LAYER}.self_attn.k_layernorm`,
  'blk.*.ffn_norm': `${LAYER}.ffn_norm`,
  'blk.*.ffn_gate': `${LAYER}.feed_forward.w1`,
  'blk.*.ffn_up': `${LAYER}.feed_forward.w3`,
  'blk.*.ffn_down': `${LAYER}.feed_forward.w2`,
};

/** Returns the settings that `saveGguf` writes beside those of decoders. */
function lfm2Saved(config: ModelConfig): Record<string, GgufNumber> {
  const heads = config.size('num_key_value_heads');
  const kinds = eachLayer(config.values, (i) => (isAttention(config, i) ? 'full_attention' : 'conv'));
  expectKinds('layer_types', kinds, ['conv', 'full_attention']);
  return {
    'attention.head_count_kv': { int32s: eachLayer(config.values, (i) => (isAttention(config, i) ? heads : 0)) },
    'shortconv.l_cache': { uint32: config.size('conv_L_cache') },
    feed_forward_length: { uint32: widthOf(config) },
  };
}

/** Returns the settings of a GGUF file. A layer with 0 heads of keys is a convolution. */
function lfm2Settings(file: GgufSettings): Json {
  const heads = file.ofLayers('attention.head_count_kv') ?? [];
  return {
    ...file.decoder(),
    norm_eps: file.needed('attention.layer_norm_rms_epsilon'),
    conv_L_cache: file.needed('shortconv.l_cache'),
    layer_types: heads.map((count) => (count > 0 ? 'full_attention' : 'conv')),
    block_auto_adjust_ff_dim: false,
  };
}

const shared = {
  ...decoderDefaults,
  vocab_size: 65536,
  num_key_value_heads: 8,
  norm_eps: 1e-5,
  pad_token_id: 0,
  conv_bias: false,
  conv_L_cache: 3,
  tie_word_embeddings: true,
  layer_types: null,
};

export const lfm2: Family = {
  model: Lfm2,
  className: 'Lfm2',
  defaults: {
    ...shared,
    hidden_size: 2560,
    intermediate_size: 12288,
    max_position_embeddings: 128000,
    block_multiple_of: 256,
    block_ffn_dim_multiplier: 1,
    block_auto_adjust_ff_dim: true,
    full_attn_idxs: null,
  },
  complete: (config, fileConfig) => {
    config.intermediate_size = fileConfig.block_ff_dim ?? config.intermediate_size;
    config.tie_word_embeddings = fileConfig.tie_embedding ?? config.tie_word_embeddings;
    const attending = config.full_attn_idxs as readonly unknown[] | null;
    config.layer_types ??= eachLayer(config, (i) => (!attending || attending.includes(i) ? 'full_attention' : 'conv'));
  },
  rope: { theta: 1000000 },
  gguf: {
    saved: lfm2Saved,
    names: lfm2GgufNames,
    stored: { 'blk.*.shortconv.conv.weight': 'taps' },
    config: lfm2Settings,
  },
};

export const lfm2Moe: Family = {
  model: Lfm2Moe,
  className: 'Lfm2Moe',
  defaults: {
    ...shared,
    hidden_size: 2048,
    intermediate_size: 7168,
    moe_intermediate_size: 1792,
    num_dense_layers: 2,
    num_experts_per_tok: 4,
    num_experts: 32,
    use_expert_bias: true,
    routed_scaling_factor: 1,
    norm_topk_prob: true,
    max_position_embeddings: 128000,
  },
  complete: (config, fileConfig) => {
    config.tie_word_embeddings = fileConfig.tie_embedding ?? config.tie_word_embeddings;
    numberIn(config, 'num_dense_layers');
  },
  rope: { theta: 1000000 },
  gguf: {
    saved: (config) => {
      expectForGguf(config, { norm_topk_prob: true, routed_scaling_factor: 1, use_expert_bias: true });
      const { feed_forward_length: _, ...sizes } = lfm2Saved(config);
      return {
        ...sizes,
        ...ggufExpertCounts(config, 'num_experts'),
        expert_feed_forward_length: { uint32: config.size('moe_intermediate_size') },
        leading_dense_block_count: { uint32: config.number('num_dense_layers') },
        expert_gating_func: { uint32: 2 }, // sigmoid
      };
    },
    names: {
      ...lfm2GgufNames,
      'blk.*.ffn_gate_inp': `${LAYER}.feed_forward.gate`,
      'blk.*.exp_probs_b.bias': `${LAYER}.feed_forward.expert_bias`,
      'blk.*.ffn_gate_exps': `${LAYER}.feed_forward.experts.#.w1`,
      'blk.*.ffn_up_exps': `${LAYER}.feed_forward.experts.#.w3`,
      'blk.*.ffn_down_exps': `${LAYER}.feed_forward.experts.#.w2`,
    },
    stored: { 'blk.*.shortconv.conv.weight': 'taps' },
    config: (file) => ({
      ...lfm2Settings(file),
      moe_intermediate_size: file.needed('expert_feed_forward_length'),
      num_dense_layers: file.needed('leading_dense_block_count'),
      num_experts: file.needed('expert_count'),
      num_experts_per_tok: file.needed('expert_used_count'),
      use_expert_bias: file.hasTensor('exp_probs_b.bias'),
      norm_topk_prob: true,
    }),
  },
};
