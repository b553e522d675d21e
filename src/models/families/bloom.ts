import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm } from '../../nn/norm.js';
import { LinearBias } from '../../nn/position-bias.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { mul } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { causalHead, headName } from '../causal-head.js';
import { CausalModel } from '../causal-model.js';
import { dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/** BLOOM (2022, arXiv 2211.05100): scores fall linearly with distance (ALiBi), and embeddings are normalized. */
export class Bloom extends CausalModel {
  readonly tokens: Embedding;
  readonly embeddingNorm: LayerNorm;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    config.expect('slow_but_exact', false); // it leaves out biases
    const [dModel, heads] = [config.size('hidden_size'), config.size('n_head')];
    const positionBias = new LinearBias(init, heads, config.size('seq_length'));
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_epsilon'));
    const attentionDropout = () => dropoutOf(config, 'attention_dropout', this.randomness);
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.embeddingNorm = norm();
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new TokenDistanceAttention(init, { dModel, heads, causal: true, positionBias, dropout: attentionDropout() }),
        feedForward: () => new FeedForward(init, { dModel, activation: 'gelu_tanh' }),
        norm,
        dropout: () => new Dropout(config.number('hidden_dropout'), this.randomness),
        wiring: config.flag('apply_residual_connection_post_layernorm') ? 'normed' : 'pre',
        randomness: this.randomness,
      });
    this.decoder = new Stack(config.size('n_layer'), layer, norm);
    this.head = causalHead(context, this.tokens, this.randomness);
  }

  protected embedTarget(ids: Tensor): Tensor {
    return this.embeddingNorm.forward(this.tokens.forward(ids));
  }

  override get maxLength(): number {
    return this.settings.size('seq_length');
  }

  protected override get bodyName(): string {
    return 'transformer';
  }

  protected override get stateNames(): StateNames {
    const layer = 'transformer.h.*';
    return {
      tokens: 'transformer.word_embeddings',
      embedding_norm: 'transformer.word_embeddings_layernorm',
      'decoder.layers.*.self_attn.qkv': {
        name: `${layer}.self_attention.query_key_value`,
        perHead: this.settings.size('n_head'),
      },
      'decoder.layers.*.self_attn.out_proj': `${layer}.self_attention.dense`,
      'decoder.layers.*.norm1': `${layer}.input_layernorm`,
      'decoder.layers.*.feed_forward.linear1': `${layer}.mlp.dense_h_to_4h`,
      'decoder.layers.*.feed_forward.linear2': `${layer}.mlp.dense_4h_to_h`,
      'decoder.layers.*.norm2': `${layer}.post_attention_layernorm`,
      'decoder.norm': 'transformer.ln_f',
      'head.out': headName(this.headKind, 'classifier'),
    };
  }
}

/** Attention whose linear biases (ALiBi) do not count padding between a query and a key. */
export class TokenDistanceAttention extends MultiHeadAttention {
  override scoreBias(_q: Tensor, _kv: Tensor, { isToken, size, longest }: Sequences): Tensor | null {
    const table = this.positionBias?.table();
    if (isToken === null || !table) return null;
    const paddingBefore = isToken.flatMap((row) => {
      let count = 0;
      return row.map((isReal) => (isReal ? count : count++));
    });
    const next = ((table.shape[1] as number) + 1) / 2; // the column of distance 1
    const perDistance = contiguous(table.columns(next, next + 1)).reshape(this.heads, 1, 1);
    return mul(table.device.tensor(Float32Array.from(paddingBefore), [size, 1, 1, longest]), perDistance);
  }
}

export const bloom: Family = {
  model: Bloom,
  className: 'Bloom',
  defaults: {
    hidden_size: 64,
    n_layer: 2,
    n_head: 8,
    seq_length: 2048, // length of the texts in pre-training; transformers has no limit
    layer_norm_epsilon: 1e-5,
    hidden_dropout: 0,
    attention_dropout: 0,
    apply_residual_connection_post_layernorm: false,
    bos_token_id: 1,
    eos_token_id: 2,
    pad_token_id: null,
    tie_word_embeddings: true,
  },
  complete: (config, fileConfig) => {
    config.hidden_size = fileConfig.n_embed ?? config.hidden_size;
    if (fileConfig.num_attention_heads !== undefined) config.n_head = fileConfig.num_attention_heads;
  },
  gguf: {
    names: {
      token_embd: 'transformer.word_embeddings',
      token_embd_norm: 'transformer.word_embeddings_layernorm',
      output_norm: 'transformer.ln_f',
      output: 'lm_head',
      'blk.*.attn_norm': 'transformer.h.*.input_layernorm',
      'blk.*.attn_output': 'transformer.h.*.self_attention.dense',
      'blk.*.ffn_norm': 'transformer.h.*.post_attention_layernorm',
      'blk.*.ffn_up': 'transformer.h.*.mlp.dense_h_to_4h',
      'blk.*.ffn_down': 'transformer.h.*.mlp.dense_4h_to_h',
    },
    joined: ['weight', 'bias'].map((kind) => ({
      name: `transformer.h.*.self_attention.query_key_value.${kind}`,
      of: [`blk.*.attn_qkv.${kind}`],
      perHead: (file) => ({ groups: file.needed('attention.head_count'), heads: [1, 1, 1] }),
    })),
    saved: (config) => {
      expectForGguf(config, { apply_residual_connection_post_layernorm: false });
      const [width, heads] = [config.size('hidden_size'), config.size('n_head')];
      return {
        context_length: { uint32: config.size('seq_length') },
        embedding_length: { uint32: width },
        feed_forward_length: { uint32: 4 * width },
        block_count: { uint32: config.size('n_layer') },
        'attention.head_count': { uint32: heads },
        'attention.head_count_kv': { uint32: heads },
        'attention.layer_norm_epsilon': { float32: config.number('layer_norm_epsilon') },
      };
    },
    config: (file) => ({
      hidden_size: file.needed('embedding_length'),
      n_layer: file.needed('block_count'),
      n_head: file.needed('attention.head_count'),
      seq_length: file.needed('context_length'),
      layer_norm_epsilon: file.needed('attention.layer_norm_epsilon'),
      tie_word_embeddings: !file.tensors.has('output.weight'),
    }),
  },
};
