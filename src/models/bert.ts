import type { Tensor } from '../core/tensor.js';
import { MultiHeadAttention } from '../nn/attention.js';
import { Dropout } from '../nn/dropout.js';
import { Embedding } from '../nn/embedding.js';
import { FeedForward } from '../nn/feed-forward.js';
import { TransformerLayer } from '../nn/layer.js';
import { Linear } from '../nn/linear.js';
import { LayerNorm } from '../nn/norm.js';
import { Stack } from '../nn/stack.js';
import type { StateNames } from '../nn/state-names.js';
import type { TokenBatch } from '../nn/token-batch.js';
import { add } from '../ops/binary.js';
import { activationOf, labelsOf } from './config-values.js';
import { EncoderModel } from './encoder-model.js';
import { PredictionHead, vocabularyOutput } from './prediction-head.js';
import type { FamilyContext, HeadKind } from './pretrained-model.js';

/** BERT (Devlin et al. 2018, arXiv 1810.04805): post-norm layers, learned positions, segments. */
export class Bert extends EncoderModel {
  readonly tokens: Embedding;
  readonly positions: Embedding;
  readonly types: Embedding;
  readonly norm: LayerNorm;
  readonly dropout: Dropout;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config, head } = context;
    const dModel = config.size('hidden_size');
    const eps = config.number('layer_norm_eps');
    const activation = activationOf(config.text('hidden_act'));
    const norm = () => new LayerNorm(init, dModel, eps);
    const dropout = () => new Dropout(config.number('hidden_dropout_prob'), this.randomness);
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.positions = new Embedding(init, config.size('max_position_embeddings'), dModel);
    this.types = new Embedding(init, config.size('type_vocab_size'), dModel);
    this.norm = norm();
    this.dropout = dropout();
    const layer = () =>
      new TransformerLayer({
        selfAttn: () => new MultiHeadAttention(init, { dModel, heads: config.size('num_attention_heads') }),
        feedForward: () => new FeedForward(init, { dModel, dFF: config.size('intermediate_size'), activation }),
        norm,
        dropout,
        wiring: 'post',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    const dense = () => new Linear(init, dModel, dModel);
    const classes = (count: number) => new Linear(init, dModel, count);
    const pooled = { pick: 'first', activation: 'tanh' } as const;
    this.pooler = head === 'none' ? new PredictionHead({ ...pooled, dense: dense() }) : null;
    const labels = labelsOf(config).length;
    const heads: Partial<Record<HeadKind, () => PredictionHead>> = {
      'masked-language-model': () =>
        new PredictionHead({
          pick: 'tokens',
          dense: dense(),
          activation,
          norm: norm(),
          out: vocabularyOutput(init, this.tokens, config.flag('tie_word_embeddings'), true),
        }),
      'sequence-classification': () => new PredictionHead({ ...pooled, dense: dense(), out: classes(labels) }),
      'token-classification': () => new PredictionHead({ pick: 'tokens', out: classes(labels) }),
      'question-answering': () => new PredictionHead({ pick: 'tokens', out: classes(2) }),
    };
    this.head = heads[head]?.() ?? null;
  }

  protected embed({ ids, positions }: TokenBatch, types: Tensor | null): Tensor {
    const places = { positions: this.positions.weight, positionIds: positions };
    const segments = this.types.forward(types ?? ids.device.zeros(ids.shape, 'int32'));
    return this.dropout.forward(this.norm.forward(add(this.tokens.forward(ids, places), segments)));
  }

  protected override get stateNames(): StateNames {
    const layer = 'bert.encoder.layer.*';
    const [embeddings, predictions] = ['bert.embeddings', 'cls.predictions'];
    const out = this.headKind === 'question-answering' ? 'qa_outputs' : 'classifier';
    const head =
      this.headKind === 'masked-language-model'
        ? {
            'head.dense': `${predictions}.transform.dense`,
            'head.norm': `${predictions}.transform.LayerNorm`,
            'head.out.bias': `${predictions}.bias`,
            'head.out': `${predictions}.decoder`,
          }
        : { 'head.dense': 'bert.pooler.dense', 'head.out': out };
    return {
      ...head,
      'pooler.dense': 'bert.pooler.dense',
      tokens: `${embeddings}.word_embeddings`,
      positions: `${embeddings}.position_embeddings`,
      types: `${embeddings}.token_type_embeddings`,
      norm: `${embeddings}.LayerNorm`,
      'encoder.layers.*.self_attn.qkv': ['query', 'key', 'value'].map((name) => `${layer}.attention.self.${name}`),
      'encoder.layers.*.self_attn.out_proj': `${layer}.attention.output.dense`,
      'encoder.layers.*.norm1': `${layer}.attention.output.LayerNorm`,
      'encoder.layers.*.feed_forward.linear1': `${layer}.intermediate.dense`,
      'encoder.layers.*.feed_forward.linear2': `${layer}.output.dense`,
      'encoder.layers.*.norm2': `${layer}.output.LayerNorm`,
    };
  }
}
