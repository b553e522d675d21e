import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { IdentityNorm, LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { CausalModel } from '../causal-model.js';
import { activationOf, labelsOf, rotaryOf, windowOf } from '../config-values.js';
import type { Family } from '../family.js';
import { chooseHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { modernBert } from './modernbert.js';

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
    const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
    const norm = () => new LayerNorm(init, dModel, config.number('norm_eps'), config.flag('norm_bias'));
    const dropout = (name: string) => new Dropout(config.number(name), this.randomness);
    this.tokens = new Embedding(init, config.size('vocab_size'), dModel);
    this.norm = norm();
    this.dropout = dropout('embedding_dropout');
    const headSize = dModel / heads;
    const [everywhere, nearby] = ['full_attention', 'sliding_attention'].map((kind) =>
      rotaryOf(init, config, { kind, headSize }),
    );
    const attention = (window: number | null) =>
      new MultiHeadAttention(init, {
        dModel,
        heads,
        causal: true,
        window,
        bias: config.flag('attention_bias'),
        rotary: window === null ? everywhere : nearby,
        dropout: dropout('attention_dropout'),
      });
    const network = () =>
      new FeedForward(init, {
        dModel,
        dFF: config.size('intermediate_size'),
        activation: activationOf(config.text('hidden_activation')),
        gated: true,
        fused: true,
        bias: config.flag('mlp_bias'),
        dropout: dropout('mlp_dropout'),
      });
    const layer = (i: number) =>
      new TransformerLayer({
        selfAttn: () => attention(windowOf(config, i)),
        feedForward: network,
        dropout: (subLayer) => (subLayer === 0 ? dropout('attention_dropout') : null),
        norm: (subLayer) => (i === 0 && subLayer === 0 ? new IdentityNorm() : norm()),
        wiring: 'pre',
        randomness: this.randomness,
      });
    this.decoder = new Stack(config.size('num_hidden_layers'), layer, norm);
    this.head = this.#headOf(context, norm);
  }

  #headOf({ init, config, head }: FamilyContext, norm: () => LayerNorm): PredictionHead | null {
    const dModel = config.size('hidden_size');
    const transform = () => ({
      dense: new Linear(init, dModel, dModel, config.flag('classifier_bias')),
      activation: activationOf(config.text('classifier_activation')),
      norm: norm(),
    });
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
          out: new Linear(init, dModel, labelsOf(config).length, config.flag('classifier_bias')),
        }),
    });
  }

  protected embedTarget(ids: Tensor): Tensor {
    const paddingId = this.settings.numberOrNull('pad_token_id');
    return this.dropout.forward(this.norm.forward(this.tokens.forward(ids, { paddingId })));
  }

  protected override get stateNames(): StateNames {
    const layer = 'model.layers.*';
    const isWriter = this.headKind === 'language-model';
    const head = isWriter ? 'lm_head' : 'head';
    return {
      tokens: 'model.embeddings.tok_embeddings',
      norm: 'model.embeddings.norm',
      'decoder.layers.*.self_attn.qkv': ['q', 'k', 'v'].map((name) => `${layer}.attn.${name}_proj`),
      'decoder.layers.*.self_attn.out_proj': `${layer}.attn.Wo`,
      'decoder.layers.*.norm1': `${layer}.attn_norm`,
      'decoder.layers.*.feed_forward.linear1': `${layer}.mlp.Wi`,
      'decoder.layers.*.feed_forward.linear2': `${layer}.mlp.Wo`,
      'decoder.layers.*.norm2': `${layer}.mlp_norm`,
      'decoder.norm': 'model.final_norm',
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
