import type { Tensor } from '../../core/tensor.js';
import {
  MultiHeadAttention,
  type MultiHeadOptions,
  type ProjectedAttention,
  type RotaryContext,
} from '../../nn/attention.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm } from '../../nn/norm.js';
import type { PaddingMask } from '../../nn/padding.js';
import { LinearBias } from '../../nn/position-bias.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { clamp } from '../../ops/unary.js';
import { causalHead, headName } from '../causal-head.js';
import { CausalModel } from '../causal-model.js';
import { dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { ModelConfig } from '../model-config.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/** MPT (MosaicML 2023): no biases, scores that fall linearly with distance (ALiBi), and projections within limits. */
export class Mpt extends CausalModel {
  readonly tokens: Embedding;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    config.expect('no_bias', true);
    config.expect('logit_scale', 1);
    const attentionConfig = attentionOf(config);
    attentionConfig.expect('attn_type', 'multihead_attention');
    attentionConfig.expect('alibi', true);
    attentionConfig.expect('prefix_lm', false);
    const [dModel, heads] = [config.size('d_model'), config.size('n_heads')];
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_epsilon'), false);
    const qkNorm = attentionConfig.flag('qk_ln') ? norm : null;
    const positionBias = new LinearBias(
      init,
      heads,
      config.size('max_seq_len'),
      1,
      attentionConfig.size('alibi_bias_max'),
    );
    const clip = attentionConfig.numberOrNull('clip_qkv') || null; // 0: no limit
    const scale = attentionConfig.numberOrNull('softmax_scale') ?? (dModel / heads) ** -0.5;
    const dropout = () => dropoutOf(attentionConfig, 'attn_pdrop', this.randomness);
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    const attention = (): MultiHeadOptions => ({
      dModel,
      heads,
      bias: false,
      causal: true,
      scale,
      positionBias,
      qNorm: qkNorm,
      kNorm: qkNorm,
      dropout: dropout(),
    });
    const layer = () =>
      new TransformerLayer({
        selfAttn: () => new ClippedAttention(init, attention(), clip),
        feedForward: () => new FeedForward(init, { dModel, activation: 'gelu', bias: false }),
        norm,
        dropout,
        wiring: 'pre',
        randomness: this.randomness,
      });
    this.decoder = new Stack(config.size('n_layers'), layer, norm);
    this.head = causalHead(context, this.tokens, this.randomness);
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.tokens.forward(ids);
  }

  override get maxLength(): number {
    return this.settings.size('max_seq_len');
  }

  protected override get bodyName(): string {
    return 'transformer';
  }

  protected override get stateNames(): StateNames {
    const [path, stored] = ['decoder.layers.*', 'transformer.blocks.*'];
    return {
      tokens: 'transformer.wte',
      [`${path}.norm1`]: `${stored}.norm_1`,
      [`${path}.self_attn.qkv`]: `${stored}.attn.Wqkv`,
      [`${path}.self_attn.q_norm`]: `${stored}.attn.q_ln`,
      [`${path}.self_attn.k_norm`]: `${stored}.attn.k_ln`,
      [`${path}.self_attn.out_proj`]: `${stored}.attn.out_proj`,
      [`${path}.norm2`]: `${stored}.norm_2`,
      [`${path}.feed_forward.linear1`]: `${stored}.ffn.up_proj`,
      [`${path}.feed_forward.linear2`]: `${stored}.ffn.down_proj`,
      'decoder.norm': 'transformer.norm_f',
      'head.out': headName(this.headKind, 'classifier'),
    };
  }
}

/** Attention that clamps queries, keys and values to ±clip, before their norms. Null: no limit. */
class ClippedAttention extends MultiHeadAttention {
  constructor(
    init: Initializer,
    options: MultiHeadOptions,
    readonly clip: number | null,
  ) {
    super(init, options);
  }

  protected override splitProjections(all: Tensor, context: RotaryContext): ProjectedAttention {
    const { clip } = this;
    return super.splitProjections(clip === null ? all : clamp(all, { min: -clip, max: clip }), context);
  }

  protected override paddingMaskOf(batch: Sequences): PaddingMask | null {
    const masks = super.paddingMaskOf(batch);
    return masks && { ...masks, keyless: 'filled' };
  }
}

/** Defaults of the settings in `attn_config`. transformers ignores the last two. */
const attentionDefaults = {
  attn_type: 'multihead_attention',
  attn_pdrop: 0,
  clip_qkv: null,
  softmax_scale: null,
  alibi: true,
  prefix_lm: false,
  qk_ln: false,
  alibi_bias_max: 8,
};

function attentionOf(config: ModelConfig): ModelConfig {
  return new ModelConfig({ ...attentionDefaults, ...config.object('attn_config') });
}

const BLOCK = 'transformer.blocks.*';

export const mpt: Family = {
  model: Mpt,
  className: 'Mpt',
  defaults: {
    d_model: 2048,
    n_heads: 16,
    n_layers: 24,
    max_seq_len: 2048,
    vocab_size: 50368,
    layer_norm_epsilon: 1e-5,
    attn_config: {},
    logit_scale: null,
    no_bias: true,
    bos_token_id: null,
    eos_token_id: null,
    pad_token_id: null,
    tie_word_embeddings: true,
  },
  complete: (config, fileConfig) => {
    config.d_model = fileConfig.hidden_size ?? config.d_model;
    config.n_heads = fileConfig.num_attention_heads ?? config.n_heads;
    config.n_layers = fileConfig.num_hidden_layers ?? config.n_layers;
    config.attn_config ??= {};
  },
  gguf: {
    names: {
      token_embd: 'transformer.wte',
      output_norm: 'transformer.norm_f',
      output: 'lm_head',
      'blk.*.attn_norm': `${BLOCK}.norm_1`,
      'blk.*.attn_qkv': `${BLOCK}.attn.Wqkv`,
      'blk.*.attn_q_norm': `${BLOCK}.attn.q_ln`,
      'blk.*.attn_k_norm': `${BLOCK}.attn.k_ln`,
      'blk.*.attn_output': `${BLOCK}.attn.out_proj`,
      'blk.*.ffn_norm': `${BLOCK}.norm_2`,
      'blk.*.ffn_up': `${BLOCK}.ffn.up_proj`,
      'blk.*.ffn_down': `${BLOCK}.ffn.down_proj`,
    },
    config: (file) => ({
      d_model: file.needed('embedding_length'),
      n_layers: file.needed('block_count'),
      n_heads: file.needed('attention.head_count'),
      max_seq_len: file.needed('context_length'),
      layer_norm_epsilon: file.needed('attention.layer_norm_epsilon'),
      attn_config: {
        clip_qkv: file.number('attention.clamp_kqv') || null, // 0: no limit
        alibi_bias_max: file.needed('attention.max_alibi_bias'),
        qk_ln: file.hasTensor('attn_q_norm.weight'),
      },
      tie_word_embeddings: !file.tensors.has('output.weight'),
    }),
    saved: (config) => {
      const attentionConfig = attentionOf(config);
      expectForGguf(attentionConfig, { softmax_scale: null });
      return {
        context_length: { uint32: config.size('max_seq_len') },
        embedding_length: { uint32: config.size('d_model') },
        block_count: { uint32: config.size('n_layers') },
        feed_forward_length: { uint32: 4 * config.size('d_model') },
        'attention.head_count': { uint32: config.size('n_heads') },
        'attention.layer_norm_epsilon': { float32: config.number('layer_norm_epsilon') },
        'attention.clamp_kqv': { float32: attentionConfig.numberOrNull('clip_qkv') ?? 0 },
        'attention.max_alibi_bias': { float32: attentionConfig.size('alibi_bias_max') },
      };
    },
  },
};
