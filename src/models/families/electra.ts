import type { Tensor } from '../../core/tensor.js';
import { Dropout } from '../../nn/dropout.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf, labelsOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { chooseHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext, HeadKind } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bert, bertEmbeddings, bertLayer, bertLayerNames, classifierDropout } from './bert.js';

/**
 * ELECTRA (Clark et al. 2020, arXiv 2003.10555): BERT that detects replaced tokens, with embeddings of another size.
 */
export class Electra extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  /** Projects embeddings to the features of the layers, if the sizes differ. */
  readonly projection: Linear | null;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    config.expect('is_decoder', false);
    config.expect('position_embedding_type', 'absolute');
    const [dModel, narrow] = [config.size('hidden_size'), config.size('embedding_size')];
    const { randomness } = this;
    this.embeddings = bertEmbeddings(init, config, randomness);
    this.projection = narrow === dModel ? null : new Linear(init, narrow, dModel);
    this.encoder = new Stack(config.size('num_hidden_layers'), () => bertLayer(init, config, randomness), null);
    const dropout = () => new Dropout(classifierDropout(config), randomness);
    const dense = (outputs = dModel) => new Linear(init, dModel, outputs);
    const labels = labelsOf(config).length;
    this.head = chooseHead(config, context.head, {
      'masked-language-model': () =>
        new PredictionHead({
          pick: 'tokens',
          dense: dense(narrow),
          activation: 'gelu',
          norm: new LayerNorm(init, narrow, config.number('layer_norm_eps')),
          out: vocabularyOutput(init, this.embeddings.tokens, config.flag('tie_word_embeddings'), true),
        }),
      discriminator: () =>
        new PredictionHead({
          pick: 'tokens',
          dense: dense(),
          activation: activationOf(config.text('hidden_act')),
          out: dense(1),
        }),
      'sequence-classification': () =>
        new PredictionHead({
          pick: 'first',
          inputDropout: dropout(),
          dense: dense(),
          activation: 'gelu',
          dropout: dropout(),
          out: dense(labels),
        }),
      'token-classification': () => new PredictionHead({ pick: 'tokens', dropout: dropout(), out: dense(labels) }),
      'question-answering': () => new PredictionHead({ pick: 'tokens', out: dense(2) }),
    });
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    const x = this.embeddings.forward(ids, positions, types);
    return this.projection?.forward(x) ?? x;
  }

  protected override get bodyName(): string {
    return 'electra';
  }

  protected override get stateNames(): StateNames {
    const heads: Partial<Record<HeadKind, StateNames>> = {
      'masked-language-model': {
        'head.dense': 'generator_predictions.dense',
        'head.norm': 'generator_predictions.LayerNorm',
        'head.out': 'generator_lm_head',
      },
      discriminator: {
        'head.dense': 'discriminator_predictions.dense',
        'head.out': 'discriminator_predictions.dense_prediction',
      },
      'sequence-classification': { 'head.dense': 'classifier.dense', 'head.out': 'classifier.out_proj' },
      'token-classification': { 'head.out': 'classifier' },
      'question-answering': { 'head.out': 'qa_outputs' },
    };
    return {
      ...heads[this.headKind],
      ...embeddingNames('electra.embeddings'),
      projection: 'electra.embeddings_project',
      ...bertLayerNames('electra.encoder.layer.*'),
    };
  }
}

export const electra: Family = {
  model: Electra,
  className: 'Electra',
  defaults: {
    ...bert.defaults,
    embedding_size: 128,
    hidden_size: 256,
    num_attention_heads: 4,
    intermediate_size: 1024,
    summary_type: 'first',
    summary_use_proj: true,
    summary_activation: 'gelu',
    summary_last_dropout: 0.1,
  },
  vocabulary: 'bert',
};
