import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { labelsOf } from '../labels.js';
import { chooseHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext, HeadKind } from '../pretrained-model.js';
import { embeddingNames, TextEmbeddings } from '../text-embeddings.js';

/** Epsilon of all layer norms in transformers, whatever the config says. */
const EPS = 1e-12;

/** DistilBERT (Sanh et al. 2019, arXiv 1910.01108): BERT with half of its layers, and without segments. */
export class DistilBert extends EncoderModel {
  protected override readonly readsTypes = false;
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const dModel = config.size('dim');
    const activation = activationOf(config.text('activation'));
    const norm = () => new LayerNorm(init, dModel, EPS);
    const dropout = (name = 'dropout') => new Dropout(config.number(name), this.randomness);
    this.embeddings = new TextEmbeddings(init, {
      vocabulary: config.size('vocab_size'),
      features: dModel,
      positions: config.size('max_position_embeddings'),
      paddingId: config.numberOrNull('pad_token_id'),
      eps: EPS,
      dropout: dropout(),
    });
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, {
            dModel,
            heads: config.size('n_heads'),
            dropout: dropout('attention_dropout'),
          }),
        feedForward: () => new FeedForward(init, { dModel, dFF: config.size('hidden_dim'), activation }),
        norm,
        dropout: (subLayer) => (subLayer === 0 ? null : dropout()),
        wiring: 'post',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('n_layers'), layer, null);
    this.head = this.#headOf(context);
  }

  #headOf({ init, config, head }: FamilyContext): PredictionHead | null {
    const dModel = config.size('dim');
    const dropout = (name = 'dropout') => new Dropout(config.number(name), this.randomness);
    const classes = (count = labelsOf(config.values).length) => new Linear(init, dModel, count);
    const dense = () => new Linear(init, dModel, dModel);
    return chooseHead(config, head, {
      'masked-language-model': () =>
        new PredictionHead({
          pick: 'tokens',
          dense: dense(),
          activation: activationOf(config.text('activation')),
          norm: new LayerNorm(init, dModel, EPS),
          out: vocabularyOutput(init, this.embeddings.tokens, config.flag('tie_word_embeddings'), true),
        }),
      'sequence-classification': () =>
        new PredictionHead({
          pick: 'first',
          dense: dense(),
          activation: 'relu',
          dropout: dropout('seq_classif_dropout'),
          out: classes(),
        }),
      'token-classification': () => new PredictionHead({ pick: 'tokens', dropout: dropout(), out: classes() }),
      'question-answering': () =>
        new PredictionHead({ pick: 'tokens', dropout: dropout('qa_dropout'), out: classes(2) }),
    });
  }

  protected embed(ids: Tensor, positions: Tensor): Tensor {
    return this.embeddings.forward(ids, positions, null);
  }

  protected override get bodyName(): string {
    return 'distilbert';
  }

  protected override get stateNames(): StateNames {
    const layer = 'distilbert.transformer.layer.*';
    const heads: Partial<Record<HeadKind, StateNames>> = {
      'masked-language-model': {
        'head.dense': 'vocab_transform',
        'head.norm': 'vocab_layer_norm',
        'head.out': 'vocab_projector',
      },
      'question-answering': { 'head.out': 'qa_outputs' },
    };
    return {
      ...(heads[this.headKind] ?? { 'head.dense': 'pre_classifier', 'head.out': 'classifier' }),
      ...embeddingNames('distilbert.embeddings'),
      'encoder.layers.*.self_attn.qkv': ['q', 'k', 'v'].map((name) => `${layer}.attention.${name}_lin`),
      'encoder.layers.*.self_attn.out_proj': `${layer}.attention.out_lin`,
      'encoder.layers.*.norm1': `${layer}.sa_layer_norm`,
      'encoder.layers.*.feed_forward.linear1': `${layer}.ffn.lin1`,
      'encoder.layers.*.feed_forward.linear2': `${layer}.ffn.lin2`,
      'encoder.layers.*.norm2': `${layer}.output_layer_norm`,
    };
  }
}

export const distilBert: Family = {
  model: DistilBert,
  className: 'DistilBert',
  defaults: {
    max_position_embeddings: 512,
    n_layers: 6,
    n_heads: 12,
    dim: 768,
    hidden_dim: 3072,
    dropout: 0.1,
    attention_dropout: 0.1,
    activation: 'gelu',
    qa_dropout: 0.1,
    seq_classif_dropout: 0.2,
    pad_token_id: 0,
    eos_token_id: null,
    bos_token_id: null,
    tie_word_embeddings: true,
  },
  vocabulary: 'bert',
};
