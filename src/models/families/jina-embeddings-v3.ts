import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { rotaryOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { jinaV3Module } from '../module-names.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import type { TextEmbeddings } from '../text-embeddings.js';
import { bertEmbeddings, bertLayer, bertPooler, bertSizes, classifierDropout } from './bert.js';
import { robertaHead, robertaHeadNames, xlmRoberta } from './roberta.js';

/**
 * Jina embeddings v3 (Sturua et al. 2024, arXiv 2409.10173): XLM-RoBERTa with rotary positions. Task adapters are not
 * read.
 */
export class JinaEmbeddingsV3 extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const { randomness } = this;
    const rotary = rotaryOf(init, config, {
      headSize: config.size('hidden_size') / config.size('num_attention_heads'),
    });
    this.embeddings = bertEmbeddings(init, config, randomness, { positions: 0 });
    const attention = (options: MultiHeadOptions) => new MultiHeadAttention(init, { ...options, rotary });
    const layer = () => bertLayer(init, config, randomness, attention);
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    this.pooler = bertPooler(context);
    this.head = robertaHead(context, this.embeddings.tokens, randomness, classifierDropout(config));
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  protected override get bodyName(): string {
    return 'roberta';
  }

  override moduleName(name: string): string {
    return jinaV3Module(name);
  }

  protected override get stateNames(): StateNames {
    const [body, layer] = ['roberta', 'roberta.encoder.layers.*'];
    return {
      ...robertaHeadNames(this.headKind, this.settings),
      'pooler.dense': `${body}.pooler.dense`,
      'embeddings.tokens': `${body}.embeddings.word_embeddings`,
      'embeddings.types': `${body}.embeddings.token_type_embeddings`,
      'embeddings.norm': `${body}.emb_ln`,
      'encoder.layers.*.self_attn.qkv': `${layer}.mixer.Wqkv`,
      'encoder.layers.*.self_attn.out_proj': `${layer}.mixer.out_proj`,
      'encoder.layers.*.norm1': `${layer}.norm1`,
      'encoder.layers.*.feed_forward.linear1': `${layer}.mlp.fc1`,
      'encoder.layers.*.feed_forward.linear2': `${layer}.mlp.fc2`,
      'encoder.layers.*.norm2': `${layer}.norm2`,
    };
  }
}

const LAYER = 'roberta.encoder.layers.*';

export const jinaEmbeddingsV3: Family = {
  model: JinaEmbeddingsV3,
  className: 'JinaEmbeddingsV3',
  defaults: {
    ...xlmRoberta.defaults,
    hidden_size: 1024,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    intermediate_size: 4096,
    max_position_embeddings: 8194,
    type_vocab_size: 1,
    layer_norm_eps: 1e-5,
  },
  rope: { theta: 20000 },
  gguf: {
    isEncoder: true,
    names: {
      token_embd: 'roberta.embeddings.word_embeddings',
      token_types: 'roberta.embeddings.token_type_embeddings',
      token_embd_norm: 'roberta.emb_ln',
      'blk.*.attn_qkv': `${LAYER}.mixer.Wqkv`,
      'blk.*.attn_output': `${LAYER}.mixer.out_proj`,
      'blk.*.attn_output_norm': `${LAYER}.norm1`,
      'blk.*.ffn_up': `${LAYER}.mlp.fc1`,
      'blk.*.ffn_down': `${LAYER}.mlp.fc2`,
      'blk.*.layer_output_norm': `${LAYER}.norm2`,
    },
    config: (file) => ({
      ...bertSizes(file),
      max_position_embeddings: file.needed('context_length'),
      ...file.rope(file.needed('embedding_length') / file.needed('attention.head_count')),
    }),
  },
};
