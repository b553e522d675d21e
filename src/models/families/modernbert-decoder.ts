import type { Tensor } from '../../core/tensor.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { Linear } from '../../nn/linear.js';
import type { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { CausalModel } from '../causal-model.js';
import { windowOf } from '../config-values.js';
import type { Family } from '../family.js';
import { labelsOf } from '../labels.js';
import { chooseHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { modernBert, modernBertLayer, modernBertNames, modernBertNorm, modernBertTransform } from './modernbert.js';

/** The decoder of ModernBERT (Ettin, Weller et al. 2025, arXiv 2507.11412), with causal attention. */
export class ModernBertDecoder extends CausalModel {
  readonly tokens: Embedding;
  readonly norm: LayerNorm;
  readonly dropout: Dropout;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const norm = () => modernBertNorm(context);
    this.tokens = new Embedding(init, config.size('vocab_size'), config.size('hidden_size'));
    this.norm = norm();
    this.dropout = new Dropout(config.number('embedding_dropout'), this.randomness);
    const layer = modernBertLayer(context, this.randomness, (_, i) => ({ window: windowOf(config, i), causal: true }));
    this.decoder = new Stack(config.size('num_hidden_layers'), layer, norm);
    this.head = this.#headOf(context);
  }

  #headOf(context: FamilyContext): PredictionHead | null {
    const { init, config, head } = context;
    const transform = () => modernBertTransform(context);
    const [isTied, bias] = [config.flag('tie_word_embeddings'), config.flag('decoder_bias')];
    return chooseHead(config, head, {
      'language-model': () =>
        new PredictionHead({
          pick: 'tokens',
          ...transform(),
          out: vocabularyOutput(init, this.tokens, isTied, bias),
        }),
      'sequence-classification': () =>
        new PredictionHead({
          pick: 'last',
          ...transform(),
          dropout: new Dropout(config.number('classifier_dropout'), this.randomness),
          out: new Linear(
            init,
            config.size('hidden_size'),
            labelsOf(config.values).length,
            config.flag('classifier_bias'),
          ),
        }),
    });
  }

  protected embedTarget(ids: Tensor): Tensor {
    const paddingId = this.settings.numberOrNull('pad_token_id');
    return this.dropout.forward(this.norm.forward(this.tokens.forward(ids, { paddingId })));
  }

  protected override get stateNames(): StateNames {
    const isWriter = this.headKind === 'language-model';
    const head = isWriter ? 'lm_head' : 'head';
    return {
      ...modernBertNames('decoder'),
      'decoder.layers.*.self_attn.qkv': ['q', 'k', 'v'].map((name) => `model.layers.*.attn.${name}_proj`),
      'head.dense': `${head}.dense`,
      'head.norm': `${head}.norm`,
      'head.out': isWriter ? 'decoder' : 'classifier',
    };
  }
}

export const modernBertDecoder: Family = {
  ...modernBert,
  model: ModernBertDecoder,
  className: 'ModernBertDecoder',
};
