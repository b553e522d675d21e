import type { Tensor } from '../../core/tensor.js';
import type { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Activation } from '../../ops/activation.js';
import { activationOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { chooseHead, PredictionHead } from '../prediction-head.js';
import type { FamilyContext, HeadKind } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bert, bertEmbeddings, bertHeads, bertLayer, bertLayerNames, classifierNames } from './bert.js';

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
    this.encoder = new Stack(config.size('num_hidden_layers'), () => this.layerOf(context), null);
    const tokens = this.embeddings.tokens;
    this.head = chooseHead(config, context.head, {
      ...bertHeads(context, tokens, randomness, {
        wordActivation: 'gelu',
        classifierActivation: this.classifierActivation(config),
        dropsInput: true,
      }),
      discriminator: () =>
        new PredictionHead({
          pick: 'tokens',
          dense: new Linear(init, dModel, dModel),
          activation: activationOf(config.text('hidden_act')),
          out: new Linear(init, dModel, 1),
        }),
    });
  }

  /** Makes a layer. The constructor calls it and `classifierActivation`; ConvBERT overrides them. */
  protected layerOf({ init, config }: FamilyContext): TransformerLayer {
    return bertLayer(init, config, this.randomness);
  }

  protected classifierActivation(_config: ModelConfig): Activation {
    return 'gelu';
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
    };
    return {
      ...(heads[this.headKind] ?? classifierNames(this.headKind)),
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
