import type { Tensor } from '../../core/tensor.js';
import { Linear } from '../../nn/linear.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Family } from '../family.js';
import { chooseHead, type PredictionHead } from '../prediction-head.js';
import type { FamilyContext, HeadKind } from '../pretrained-model.js';
import { PairEncoder, SENTENCE_ORDER } from '../pretraining-head.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bert, bertEmbeddings, bertHeads, bertLayer, bertPooler } from './bert.js';

/**
 * ALBERT (Lan et al. 2019, arXiv 1909.11942): BERT with narrow embeddings and a few layers that are applied repeatedly.
 */
export class Albert extends PairEncoder {
  readonly embeddings: TextEmbeddings;
  /** Projects embeddings to the features of the layers. */
  readonly projection: Linear;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;
  readonly order: PredictionHead | null;
  protected override readonly orderNames = SENTENCE_ORDER;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config, head } = context;
    config.expect('position_embedding_type', 'absolute');
    const [dModel, narrow] = [config.size('hidden_size'), config.size('embedding_size')];
    const { randomness } = this;
    this.embeddings = bertEmbeddings(init, config, randomness);
    this.projection = new Linear(init, narrow, dModel);
    const [groups, inner] = [config.size('num_hidden_groups'), config.size('inner_group_num')];
    const distinct = Array.from({ length: groups * inner }, () =>
      bertLayer(init, config, randomness, undefined, false),
    );
    const passes = config.size('num_hidden_layers') * inner;
    this.encoder = new Stack(passes, (i) => distinct[this.#distinct(i)] as (typeof distinct)[number], null);
    this.pooler = bertPooler(context);
    const dropout = config.numberOrNull('classifier_dropout_prob') ?? 0;
    const heads = bertHeads(context, this.embeddings.tokens, randomness, { dropout });
    this.head = chooseHead(config, head, { ...heads, pretraining: heads['masked-language-model'] });
    this.order = head === 'pretraining' ? heads['sequence-classification']() : null;
  }

  /**
   * Returns the index of the layer that pass i applies. The passes go through the groups in order, and through the
   * layers of each group in order.
   */
  #distinct(i: number): number {
    const { settings } = this;
    const inner = settings.size('inner_group_num');
    // This rounding is the same as in transformers.
    const perGroup = settings.size('num_hidden_layers') / settings.size('num_hidden_groups');
    return Math.trunc(Math.trunc(i / inner) / perGroup) * inner + (i % inner);
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.projection.forward(this.embeddings.forward(ids, positions, types));
  }

  protected override get bodyName(): string {
    return 'albert';
  }

  protected override get stateNames(): StateNames {
    const bias = this.settings.flag('tie_word_embeddings') ? 'predictions.bias' : 'predictions.decoder.bias';
    const words = {
      'head.dense': 'predictions.dense',
      'head.norm': 'predictions.LayerNorm',
      'head.out.bias': bias,
      'head.out': 'predictions.decoder',
    };
    const heads: Partial<Record<HeadKind, StateNames>> = {
      'masked-language-model': words,
      pretraining: { ...words, 'order.dense': 'albert.pooler', 'order.out': 'sop_classifier.classifier' },
      'sequence-classification': { 'head.dense': 'albert.pooler', 'head.out': 'classifier' },
      'token-classification': { 'head.out': 'classifier' },
      'question-answering': { 'head.out': 'qa_outputs' },
    };
    const inner = this.settings.size('inner_group_num');
    const layers = this.encoder.layers.map((_, i) => {
      const distinct = this.#distinct(i);
      const group = `albert.encoder.albert_layer_groups.${Math.trunc(distinct / inner)}`;
      return layerNames(`encoder.layers.${i}`, `${group}.albert_layers.${distinct % inner}`);
    });
    return Object.assign(
      {
        ...heads[this.headKind],
        'pooler.dense': 'albert.pooler',
        ...embeddingNames('albert.embeddings'),
        projection: 'albert.encoder.embedding_hidden_mapping_in',
      },
      ...layers,
    );
  }
}

function layerNames(path: string, name: string): StateNames {
  return {
    [`${path}.self_attn.qkv`]: ['query', 'key', 'value'].map((part) => `${name}.attention.${part}`),
    [`${path}.self_attn.out_proj`]: `${name}.attention.dense`,
    [`${path}.norm1`]: `${name}.attention.LayerNorm`,
    [`${path}.feed_forward.linear1`]: `${name}.ffn`,
    [`${path}.feed_forward.linear2`]: `${name}.ffn_output`,
    [`${path}.norm2`]: `${name}.full_layer_layer_norm`,
  };
}

export const albert: Family = {
  model: Albert,
  className: 'Albert',
  defaults: {
    ...bert.defaults,
    embedding_size: 128,
    hidden_size: 4096,
    num_hidden_groups: 1,
    inner_group_num: 1,
    num_attention_heads: 64,
    intermediate_size: 16384,
    hidden_act: 'gelu_new',
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    classifier_dropout_prob: 0.1,
    bos_token_id: 2,
    eos_token_id: 3,
  },
};
