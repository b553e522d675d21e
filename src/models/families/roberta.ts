import type { Tensor } from '../../core/tensor.js';
import type { Randomness } from '../../nn/dropout.js';
import type { Embedding } from '../../nn/embedding.js';
import { Stack } from '../../nn/stack.js';
import { type StateNames, withBody } from '../../nn/state-names.js';
import { equal, where } from '../../ops/binary.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import type { PaddedBatch } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import { chooseHead, type PredictionHead } from '../prediction-head.js';
import type { FamilyContext, HeadKind } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import {
  BertDecoder,
  bert,
  bertEmbeddings,
  bertHeads,
  bertLayer,
  bertLayerNames,
  bertPooler,
  classifierDropout,
  classifierNames,
} from './bert.js';

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
    this.pooler = bertPooler(context);
    this.head = robertaHead(context, this.embeddings.tokens, randomness, classifierDropout(config));
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  protected override positionsOf(padded: PaddedBatch): Tensor {
    return padded.positionsWithout(this.settings.number('pad_token_id'));
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

/** RoBERTa as a decoder (RobertaForCausalLM), also of a vision encoder-decoder. */
export class RobertaDecoder extends BertDecoder {
  constructor(context: FamilyContext) {
    super(context, { firstPosition: context.config.number('pad_token_id') + 1, wordActivation: 'gelu' });
  }

  protected override positionsOf(padded: PaddedBatch): Tensor {
    return padded.positionsWithout(this.#padId);
  }

  get #padId(): number {
    return this.settings.number('pad_token_id');
  }

  /** A written padding id has its own position, and is counted by later tokens, as in transformers with a cache. */
  protected override embedTarget(ids: Tensor, positions: Tensor): Tensor {
    const { device } = this;
    return device.scope(() => {
      const isPad = equal(ids, device.tensor(Int32Array.of(this.#padId)));
      return super.embedTarget(ids, where(isPad, device.tensor(Int32Array.of(-1)), positions));
    });
  }

  protected override get stateNames(): StateNames {
    const names = withBody(super.stateNames, 'bert', 'roberta');
    return { ...names, ...robertaHeadNames('masked-language-model', this.settings) };
  }
}

/** RoBERTa's head of the given kind; null for none. `dropout`: probability before classes. */
export function robertaHead(
  context: FamilyContext,
  tokens: Embedding,
  randomness: Randomness,
  dropout: number,
): PredictionHead | null {
  const heads = bertHeads(context, tokens, randomness, { wordActivation: 'gelu', dropsInput: true, dropout });
  return chooseHead(context.config, context.head, heads);
}

export function robertaHeadNames(kind: HeadKind, config: ModelConfig): StateNames {
  if (kind !== 'masked-language-model') return classifierNames(kind);
  return {
    'head.dense': 'lm_head.dense',
    'head.norm': 'lm_head.layer_norm',
    'head.out.bias': config.flag('tie_word_embeddings') ? 'lm_head.bias' : 'lm_head.decoder.bias',
    'head.out': 'lm_head.decoder',
  };
}

export const roberta: Family = {
  model: Roberta,
  decoder: RobertaDecoder,
  className: 'Roberta',
  defaults: { ...bert.defaults, pad_token_id: 1, bos_token_id: 0, eos_token_id: 2 },
  vocabulary: 'roberta',
};

export const xlmRoberta: Family = {
  model: Roberta,
  decoder: RobertaDecoder,
  className: 'XLMRoberta',
  defaults: roberta.defaults,
};

/** A French RoBERTa (Martin et al. 2019, arXiv 1911.03894). */
export const camembert: Family = {
  model: Roberta,
  decoder: RobertaDecoder,
  className: 'Camembert',
  defaults: roberta.defaults,
};

/** The text model of data2vec (Baevski et al. 2022, arXiv 2202.03555): a RoBERTa. */
class Data2VecText extends Roberta {
  protected override get bodyName(): string {
    return 'data2vec_text';
  }

  protected override get stateNames(): StateNames {
    return withBody(super.stateNames, 'roberta', this.bodyName);
  }
}

export const data2VecText: Family = { ...roberta, model: Data2VecText, className: 'Data2VecText' };
