import type { Tensor } from '../../core/tensor.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm } from '../../nn/norm.js';
import { LinearBias } from '../../nn/position-bias.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { causalHead, headName } from '../causal-head.js';
import { CausalModel } from '../causal-model.js';
import { activationOf, dropoutOf, rotaryOf } from '../config-values.js';
import type { Family, GgufFamily } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { type ModelConfig, numberIn } from '../model-config.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { TokenDistanceAttention } from './bloom.js';

/**
 * Falcon (Almazrouei et al. 2023, arXiv 2311.16867). Sub-layers run in parallel or in sequence. Positions rotate, or
 * scores fall linearly with the distance (ALiBi). Keys and values have one head, several, or all.
 */
export class Falcon extends CausalModel {
  readonly tokens: Embedding;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
    const bias = config.flag('bias');
    const headSize = dModel / heads;
    const positions = config.flag('alibi')
      ? // The scores are divided by √headSize after the bias was added.
        { positionBias: new LinearBias(init, heads, config.size('max_position_embeddings'), headSize ** -0.5) }
      : { rotary: rotaryOf(init, config, { headSize }) };
    const attention = { dModel, heads, kvHeads: kvHeadsOf(config), causal: true, bias, ...positions };
    const network = {
      dModel,
      dFF: config.size('ffn_hidden_size'),
      activation: activationOf(config.text('activation')),
    };
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_epsilon'));
    const attentionDropout = () => dropoutOf(config, 'attention_dropout', this.randomness);
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    const layer = () => {
      const shared = normsOf(config) === 'shared' ? norm() : null;
      return new TransformerLayer({
        selfAttn: () => new TokenDistanceAttention(init, { ...attention, dropout: attentionDropout() }),
        feedForward: () => new FeedForward(init, { ...network, bias }),
        norm: () => shared ?? norm(),
        dropout: () => new Dropout(config.number('hidden_dropout'), this.randomness),
        wiring: normsOf(config) === 'sequential' ? 'pre' : 'parallel',
        randomness: this.randomness,
      });
    };
    this.decoder = new Stack(config.size('num_hidden_layers'), layer, norm);
    this.head = causalHead(context, this.tokens, this.randomness);
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.tokens.forward(ids);
  }

  protected override get bodyName(): string {
    return 'transformer';
  }

  protected override get stateNames(): StateNames {
    const layer = 'transformer.h.*';
    const { settings } = this;
    const isTwo = normsOf(settings) === 'two';
    return {
      tokens: 'transformer.word_embeddings',
      'decoder.layers.*.self_attn.qkv': {
        name: `${layer}.self_attention.query_key_value`,
        perHead: kvHeadsOf(settings),
      },
      'decoder.layers.*.self_attn.out_proj': `${layer}.self_attention.dense`,
      'decoder.layers.*.norm1': `${layer}.${isTwo ? 'ln_attn' : 'input_layernorm'}`,
      'decoder.layers.*.feed_forward.linear1': `${layer}.mlp.dense_h_to_4h`,
      'decoder.layers.*.feed_forward.linear2': `${layer}.mlp.dense_4h_to_h`,
      'decoder.layers.*.norm2': `${layer}.${isTwo ? 'ln_mlp' : 'post_attention_layernorm'}`,
      'decoder.norm': 'transformer.ln_f',
      'head.out': this.headKind === 'token-classification' ? 'classifier' : headName(this.headKind),
    };
  }
}

/** Number of heads of keys and values. */
function kvHeadsOf(config: ModelConfig): number {
  if (config.flag('new_decoder_architecture')) return config.size('num_kv_heads');
  return config.flag('multi_query') ? 1 : config.size('num_attention_heads');
}

/** Wiring of a layer's norms: sequential, one norm for two parallel sub-layers, or one for each of them. */
function normsOf(config: ModelConfig): 'sequential' | 'shared' | 'two' {
  if (config.flag('new_decoder_architecture')) return config.number('num_ln_in_parallel_attn') === 2 ? 'two' : 'shared';
  return config.flag('parallel_attn') ? 'shared' : 'sequential';
}

export const falcon: Family = {
  model: Falcon,
  className: 'Falcon',
  defaults: {
    hidden_size: 4544,
    num_hidden_layers: 32,
    num_attention_heads: 71,
    num_kv_heads: null, // the number of heads
    num_ln_in_parallel_attn: null,
    ffn_hidden_size: null, // four times dModel
    activation: 'gelu',
    layer_norm_epsilon: 1e-5,
    hidden_dropout: 0,
    attention_dropout: 0,
    max_position_embeddings: 2048,
    alibi: false,
    new_decoder_architecture: false,
    multi_query: true,
    parallel_attn: true,
    bias: false,
    bos_token_id: 11,
    eos_token_id: 11,
    pad_token_id: null,
    tie_word_embeddings: true,
  },
  complete: (config, fileConfig) => {
    config.hidden_size = fileConfig.n_embed ?? config.hidden_size;
    config.num_kv_heads ??= config.num_attention_heads;
    config.ffn_hidden_size ??= 4 * numberIn(config, 'hidden_size');
    if (config.new_decoder_architecture === true) config.num_ln_in_parallel_attn ??= 2;
  },
  rope: { theta: 10000 },
  gguf: {
    ...ggufOf(1),
    variants: [{ tensor: 'blk.0.attn_norm_2.weight', isOf: (config) => normsOf(config) === 'two', gguf: ggufOf(2) }],
  },
};

/** The layout of GGUF files of models with so many norms of a layer's input: two in Falcon 40B. */
function ggufOf(norms: 1 | 2): GgufFamily {
  return {
    names: {
      token_embd: 'transformer.word_embeddings',
      output_norm: 'transformer.ln_f',
      output: 'lm_head',
      'blk.*.attn_norm': `transformer.h.*.${norms === 1 ? 'input_layernorm' : 'ln_mlp'}`,
      'blk.*.attn_norm_2': 'transformer.h.*.ln_attn',
      'blk.*.attn_output': 'transformer.h.*.self_attention.dense',
      'blk.*.ffn_up': 'transformer.h.*.mlp.dense_h_to_4h',
      'blk.*.ffn_down': 'transformer.h.*.mlp.dense_4h_to_h',
    },
    joined: [
      {
        name: 'transformer.h.*.self_attention.query_key_value.weight',
        of: ['blk.*.attn_qkv.weight'],
        perHead: (file) => {
          const groups = file.number('attention.head_count_kv') ?? 1;
          return { groups, heads: [file.needed('attention.head_count') / groups, 1, 1] };
        },
      },
    ],
    saved: (config) => {
      expectForGguf(config, { alibi: false, bias: false, parallel_attn: true });
      return {};
    },
    usual: (config) => ({
      num_key_value_heads: kvHeadsOf(config),
      head_dim: config.size('hidden_size') / config.size('num_attention_heads'),
      intermediate_size: config.size('ffn_hidden_size'),
    }),
    config: (file) => {
      const [heads, groups] = [file.needed('attention.head_count'), file.number('attention.head_count_kv') ?? 1];
      const { rope_parameters, max_position_embeddings, tie_word_embeddings } = file.decoder();
      return {
        rope_parameters,
        max_position_embeddings,
        tie_word_embeddings,
        hidden_size: file.needed('embedding_length'),
        num_hidden_layers: file.needed('block_count'),
        num_attention_heads: heads,
        num_kv_heads: groups,
        ffn_hidden_size: file.needed('feed_forward_length'),
        layer_norm_epsilon: file.needed('attention.layer_norm_epsilon'),
        multi_query: groups === 1,
        new_decoder_architecture: groups > 1 || norms === 2,
        num_ln_in_parallel_attn: norms,
        parallel_attn: true,
        alibi: false,
        bias: false,
      };
    },
  };
}
