import type { Tensor } from '../../core/tensor.js';
import { Dropout } from '../../nn/dropout.js';
import type { Embedding } from '../../nn/embedding.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { labelsOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import type { PaddedBatch } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import { chooseHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext, HeadKind } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bert, bertEmbeddings, bertLayer, bertLayerNames, classifierDropout } from './bert.js';

/**
 * RoBERTa (Liu et al. 2019, arXiv 1907.11692) and XLM-RoBERTa (Conneau et al. 2019, arXiv 1911.02116). They are BERT
 * with other heads, and with positions that count from the padding id + 1.
 */
export class Roberta extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    config.expect('is_decoder', false);
    config.expect('position_embedding_type', 'absolute');
    const { randomness } = this;
    this.embeddings = bertEmbeddings(init, config, randomness, {
      firstPosition: config.number('pad_token_id') + 1,
    });
    this.encoder = new Stack(config.size('num_hidden_layers'), () => bertLayer(init, config, randomness), null);
    this.pooler = robertaPooler(context);
    const dropout = () => new Dropout(classifierDropout(config), randomness);
    this.head = robertaHead(context, this.embeddings.tokens, dropout);
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  protected override positionsOf(padded: PaddedBatch): Tensor {
    return padded.placesWithout(this.settings.number('pad_token_id'));
  }

  protected override get bodyName(): string {
    return 'roberta';
  }

  protected override get stateNames(): StateNames {
    return {
      ...robertaHeadNames(this.headKind, this.settings),
      'pooler.dense': 'roberta.pooler.dense',
      ...embeddingNames('roberta.embeddings'),
      ...bertLayerNames('roberta.encoder.layer.*'),
    };
  }
}

/** Makes one vector of a sequence from its first token's features. */
export function robertaPooler({ init, config, head }: FamilyContext): PredictionHead | null {
  if (head !== 'none') return null;
  const dModel = config.size('hidden_size');
  return new PredictionHead({ pick: 'first', dense: new Linear(init, dModel, dModel), activation: 'tanh' });
}

export function robertaHead(
  { init, config, head }: FamilyContext,
  tokens: Embedding,
  dropout: () => Dropout,
): PredictionHead | null {
  const dModel = config.size('hidden_size');
  const dense = () => new Linear(init, dModel, dModel);
  const classes = (count = labelsOf(config).length) => new Linear(init, dModel, count);
  return chooseHead(config, head, {
    'masked-language-model': () =>
      new PredictionHead({
        pick: 'tokens',
        dense: dense(),
        activation: 'gelu',
        norm: new LayerNorm(init, dModel, config.number('layer_norm_eps')),
        out: vocabularyOutput(init, tokens, config.flag('tie_word_embeddings'), true),
      }),
    'sequence-classification': () =>
      new PredictionHead({
        pick: 'first',
        inputDropout: dropout(),
        dense: dense(),
        activation: 'tanh',
        dropout: dropout(),
        out: classes(),
      }),
    'token-classification': () => new PredictionHead({ pick: 'tokens', dropout: dropout(), out: classes() }),
    'question-answering': () => new PredictionHead({ pick: 'tokens', out: classes(2) }),
  });
}

export function robertaHeadNames(kind: HeadKind, config: ModelConfig): StateNames {
  switch (kind) {
    case 'masked-language-model':
      return {
        'head.dense': 'lm_head.dense',
        'head.norm': 'lm_head.layer_norm',
        'head.out.bias': config.flag('tie_word_embeddings') ? 'lm_head.bias' : 'lm_head.decoder.bias',
        'head.out': 'lm_head.decoder',
      };
    case 'sequence-classification':
      return { 'head.dense': 'classifier.dense', 'head.out': 'classifier.out_proj' };
    case 'question-answering':
      return { 'head.out': 'qa_outputs' };
    default:
      return { 'head.out': 'classifier' };
  }
}

export const roberta: Family = {
  model: Roberta,
  className: 'Roberta',
  defaults: { ...bert.defaults, pad_token_id: 1, bos_token_id: 0, eos_token_id: 2 },
  vocabulary: 'roberta',
};

export const xlmRoberta: Family = { model: Roberta, className: 'XLMRoberta', defaults: roberta.defaults };
