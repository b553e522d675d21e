import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import { BucketBias } from '../../nn/position-bias.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import type { PaddedBatch } from '../inputs.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bertEmbeddings, bertLayer, bertPooler } from './bert.js';
import { roberta, robertaHead, robertaHeadNames } from './roberta.js';

/** Constants that transformers uses, whatever the config says. */
const [PAD, BUCKETS, MAX_DISTANCE] = [1, 32, 128];

/**
 * MPNet (Song et al. 2020, arXiv 2004.09297): RoBERTa without segments, whose layers share a bias per bucket of
 * distances.
 */
export class MPNet extends EncoderModel {
  protected override readonly readsTypes = false;
  readonly embeddings: TextEmbeddings;
  readonly positionBias: BucketBias;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const { randomness } = this;
    const rows = config.size('relative_attention_num_buckets');
    this.embeddings = bertEmbeddings(init, config, randomness, { firstPosition: PAD + 1, paddingId: PAD, types: 0 });
    this.positionBias = new BucketBias(init, {
      heads: config.size('num_attention_heads'),
      buckets: BUCKETS,
      maxDistance: MAX_DISTANCE,
      bidirectional: true,
      rows,
    });
    const { positionBias } = this;
    const attention = (options: MultiHeadOptions) => new MultiHeadAttention(init, { ...options, positionBias });
    const layer = () => bertLayer(init, config, randomness, attention);
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    this.pooler = bertPooler(context);
    this.head = robertaHead(context, this.embeddings.tokens, randomness, config.number('hidden_dropout_prob'));
  }

  protected embed(ids: Tensor, positions: Tensor): Tensor {
    return this.embeddings.forward(ids, positions, null);
  }

  protected override positionsOf(padded: PaddedBatch): Tensor {
    return padded.positionsWithout(PAD);
  }

  protected override get bodyName(): string {
    return 'mpnet';
  }

  protected override get stateNames(): StateNames {
    const layer = 'mpnet.encoder.layer.*';
    return {
      ...robertaHeadNames(this.headKind, this.settings),
      'pooler.dense': 'mpnet.pooler.dense',
      ...embeddingNames('mpnet.embeddings'),
      position_bias: 'mpnet.encoder.relative_attention_bias',
      'encoder.layers.*.self_attn.position_bias': 'mpnet.encoder.relative_attention_bias',
      'encoder.layers.*.self_attn.qkv': ['q', 'k', 'v'].map((name) => `${layer}.attention.attn.${name}`),
      'encoder.layers.*.self_attn.out_proj': `${layer}.attention.attn.o`,
      'encoder.layers.*.norm1': `${layer}.attention.LayerNorm`,
      'encoder.layers.*.feed_forward.linear1': `${layer}.intermediate.dense`,
      'encoder.layers.*.feed_forward.linear2': `${layer}.output.dense`,
      'encoder.layers.*.norm2': `${layer}.output.LayerNorm`,
    };
  }
}

export const mpnet: Family = {
  model: MPNet,
  className: 'MPNet',
  defaults: { ...roberta.defaults, relative_attention_num_buckets: 32 },
};
