import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { causalHead, headName } from '../causal-head.js';
import { CausalModel } from '../causal-model.js';
import { activationOf, dropoutOf, rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { gptNeoxModule } from '../module-names.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/**
 * GPT-NeoX and Pythia (Black et al. 2022, arXiv 2204.06745): parallel sub-layers, and rotation of a part of each head.
 */
export class GptNeox extends CausalModel {
  readonly tokens: Embedding;
  readonly dropout: Dropout;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
    const activation = activationOf(config.text('hidden_act'));
    const bias = config.flag('attention_bias');
    const rotary = rotaryOf(init, config, { headSize: dModel / heads });
    const dropout = () => new Dropout(config.number('hidden_dropout'), this.randomness);
    const attention = () => dropoutOf(config, 'attention_dropout', this.randomness);
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.dropout = dropout();
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, { dModel, heads, causal: true, bias, rotary, dropout: attention() }),
        feedForward: () => new FeedForward(init, { dModel, dFF: config.size('intermediate_size'), activation }),
        norm,
        dropout,
        wiring: config.flag('use_parallel_residual') ? 'parallel' : 'pre',
        randomness: this.randomness,
      });
    this.decoder = new Stack(config.size('num_hidden_layers'), layer, norm);
    this.head = causalHead(context, this.tokens, this.randomness);
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.dropout.forward(this.tokens.forward(ids));
  }

  protected override get bodyName(): string {
    return 'gpt_neox';
  }

  override moduleName(name: string): string {
    return gptNeoxModule(name);
  }

  protected override get stateNames(): StateNames {
    const layer = 'gpt_neox.layers.*';
    const perHead = this.settings.size('num_attention_heads');
    return {
      tokens: 'gpt_neox.embed_in',
      'decoder.layers.*.self_attn.qkv': { name: `${layer}.attention.query_key_value`, perHead },
      'decoder.layers.*.self_attn.out_proj': `${layer}.attention.dense`,
      'decoder.layers.*.norm1': `${layer}.input_layernorm`,
      'decoder.layers.*.feed_forward.linear1': `${layer}.mlp.dense_h_to_4h`,
      'decoder.layers.*.feed_forward.linear2': `${layer}.mlp.dense_4h_to_h`,
      'decoder.layers.*.norm2': `${layer}.post_attention_layernorm`,
      'decoder.norm': 'gpt_neox.final_layer_norm',
      'head.out': headName(this.headKind, 'classifier'),
    };
  }
}

export const gptNeox: Family = {
  model: GptNeox,
  className: 'GPTNeoX',
  defaults: {
    hidden_size: 6144,
    num_hidden_layers: 44,
    num_attention_heads: 64,
    intermediate_size: 24576,
    hidden_act: 'gelu',
    attention_dropout: 0,
    hidden_dropout: 0,
    classifier_dropout: 0.1,
    max_position_embeddings: 2048,
    layer_norm_eps: 1e-5,
    bos_token_id: 0,
    eos_token_id: 2,
    pad_token_id: null,
    tie_word_embeddings: false,
    use_parallel_residual: true,
    attention_bias: true,
  },
  rope: { theta: 10000, thetaName: 'rotary_emb_base', partial: 0.25, partialName: 'rotary_pct' },
  gguf: {
    names: {
      token_embd: 'gpt_neox.embed_in',
      output_norm: 'gpt_neox.final_layer_norm',
      output: 'lm_head',
      'blk.*.attn_norm': 'gpt_neox.layers.*.input_layernorm',
      'blk.*.attn_output': 'gpt_neox.layers.*.attention.dense',
      'blk.*.ffn_norm': 'gpt_neox.layers.*.post_attention_layernorm',
      'blk.*.ffn_up': 'gpt_neox.layers.*.mlp.dense_h_to_4h',
      'blk.*.ffn_down': 'gpt_neox.layers.*.mlp.dense_4h_to_h',
    },
    joined: ['weight', 'bias'].map((kind) => ({
      name: `gpt_neox.layers.*.attention.query_key_value.${kind}`,
      of: [`blk.*.attn_qkv.${kind}`],
      perHead: (file) => ({ groups: file.needed('attention.head_count'), heads: [1, 1, 1] }),
    })),
    saved: (config) => {
      expectForGguf(config, { attention_bias: true });
      return { use_parallel_residual: { bool: config.flag('use_parallel_residual') } };
    },
    needsOutput: true,
    usual: (config) => {
      const heads = config.size('num_attention_heads');
      return { num_key_value_heads: heads, head_dim: config.size('hidden_size') / heads };
    },
    config: (file) => ({
      ...file.decoder(),
      layer_norm_eps: file.needed('attention.layer_norm_epsilon'),
      use_parallel_residual: file.flag('use_parallel_residual') ?? true,
      attention_bias: file.tensors.has('blk.0.attn_qkv.bias'),
    }),
  },
};
