import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf, dropoutOf, rotaryOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { gteModule } from '../module-names.js';
import { chooseHead, type PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import type { TextEmbeddings } from '../text-embeddings.js';
import { bert, bertEmbeddings, bertHeads, bertPooler } from './bert.js';

/**
 * GTE (Zhang et al. 2024, arXiv 2407.19669): post-norm layers with rotary positions and a gated feed-forward network.
 */
export class Gte extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
    const rotary = rotaryOf(init, config, { headSize: dModel / heads });
    const dropout = () => new Dropout(config.number('hidden_dropout_prob'), this.randomness);
    const network = {
      dModel,
      dFF: config.size('intermediate_size'),
      activation: activationOf(config.text('hidden_act')),
      gated: true,
      fused: 'gateLast',
      bias: false,
      outBias: true,
    } as const;
    this.embeddings = bertEmbeddings(init, config, this.randomness, { positions: 0 });
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, {
            dModel,
            heads,
            rotary,
            dropout: dropoutOf(config, 'attention_probs_dropout_prob', this.randomness),
          }),
        feedForward: () => new FeedForward(init, { ...network, dropout: dropout() }),
        norm: () => new LayerNorm(init, dModel, config.number('layer_norm_eps')),
        dropout,
        wiring: 'post',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    this.pooler = bertPooler(context);
    const { 'question-answering': _, ...kinds } = bertHeads(context, this.embeddings.tokens, this.randomness, {
      wordActivation: 'gelu',
    });
    this.head = chooseHead(config, context.head, kinds);
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  protected override get bodyName(): string {
    return 'gte';
  }

  override moduleName(name: string): string {
    return gteModule(name);
  }

  protected override get stateNames(): StateNames {
    const body = this.bodyName;
    const layer = `${body}.encoder.layer.*`;
    const isWriter = this.headKind === 'masked-language-model';
    return {
      'head.dense': isWriter ? 'lm_head.dense' : `${body}.pooler.dense`,
      'head.norm': 'lm_head.norm',
      'head.out': isWriter ? 'lm_head.decoder' : 'classifier',
      'pooler.dense': `${body}.pooler.dense`,
      'embeddings.tokens': `${body}.embeddings.word_embeddings`,
      'embeddings.types': `${body}.embeddings.token_type_embeddings`,
      'embeddings.norm': `${body}.embeddings.LayerNorm`,
      'encoder.layers.*.self_attn.qkv': `${layer}.attention.qkv_proj`,
      'encoder.layers.*.self_attn.out_proj': `${layer}.attention.o_proj`,
      'encoder.layers.*.norm1': `${layer}.attn_ln`,
      'encoder.layers.*.feed_forward.linear1': `${layer}.mlp.up_gate_proj`,
      'encoder.layers.*.feed_forward.linear2': `${layer}.mlp.down_proj`,
      'encoder.layers.*.norm2': `${layer}.mlp_ln`,
    };
  }
}

export const gte: Family = {
  model: Gte,
  className: 'Gte',
  defaults: {
    ...bert.defaults,
    attention_probs_dropout_prob: 0,
    add_pooling_layer: false,
    type_vocab_size: 1,
    pad_token_id: 1,
    max_position_embeddings: 8192,
  },
  rope: { theta: 160000 },
};
