import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { IdentityNorm, LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf, rotaryOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { labelsOf } from '../labels.js';
import { numberIn } from '../model-config.js';
import { chooseHead, PredictionHead, vocabularyOutput } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { labelsIn } from './bert.js';

/**
 * ModernBERT (Warner et al. 2024, arXiv 2412.13663): pre-norm layers with rotary positions and GeGLU. Most layers have
 * a window.
 */
export class ModernBert extends EncoderModel {
  protected override readonly readsTypes = false;
  readonly tokens: Embedding;
  readonly norm: LayerNorm;
  readonly dropout: Dropout;
  readonly encoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const norm = () => modernBertNorm(context);
    this.tokens = new Embedding(init, config.size('vocab_size'), config.size('hidden_size'));
    this.norm = norm();
    this.dropout = new Dropout(config.number('embedding_dropout'), this.randomness);
    const layer = modernBertLayer(context, this.randomness, (kind) => ({
      window: kind === 'sliding_attention' ? config.number('sliding_window') + 1 : null,
    }));
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, norm);
    this.head = this.#headOf(context);
  }

  #headOf(context: FamilyContext): PredictionHead | null {
    const { init, config, head } = context;
    const transform = () => modernBertTransform(context);
    const classifier = (pick: 'tokens' | 'first' | 'mean', labels = labelsOf(config.values).length) =>
      new PredictionHead({
        pick,
        ...transform(),
        dropout: new Dropout(config.number('classifier_dropout'), this.randomness),
        out: new Linear(init, config.size('hidden_size'), labels),
      });
    return chooseHead(config, head, {
      'masked-language-model': () =>
        new PredictionHead({
          pick: 'tokens',
          ...transform(),
          out: vocabularyOutput(init, this.tokens, config.flag('tie_word_embeddings'), config.flag('decoder_bias')),
        }),
      'sequence-classification': () => classifier(config.oneOf('classifier_pooling', POOLING)),
      'token-classification': () => classifier('tokens'),
      'question-answering': () => classifier('tokens', 2),
    });
  }

  protected embed(ids: Tensor): Tensor {
    const paddingId = this.settings.numberOrNull('pad_token_id');
    return this.dropout.forward(this.norm.forward(this.tokens.forward(ids, { paddingId })));
  }

  protected override get stateNames(): StateNames {
    return {
      ...modernBertNames('encoder'),
      'encoder.layers.*.self_attn.qkv': `${LAYER}.attn.Wqkv`,
      'head.out': this.headKind === 'masked-language-model' ? 'decoder' : 'classifier',
    };
  }
}

const LAYER = 'model.layers.*';
const POOLING = { cls: 'first', mean: 'mean' } as const;

export function modernBertNorm({ init, config }: FamilyContext): LayerNorm {
  return new LayerNorm(init, config.size('hidden_size'), config.number('norm_eps'), config.flag('norm_bias'));
}

/** Makes layer `i` of an encoder or a decoder. `masked` returns what a query of a layer of this kind attends to. */
export function modernBertLayer(
  context: FamilyContext,
  randomness: Randomness,
  masked: (kind: unknown, i: number) => Pick<MultiHeadOptions, 'window' | 'causal'>,
): (i: number) => TransformerLayer {
  const { init, config } = context;
  const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
  const headSize = config.numberOrNull('head_dim') ?? dModel / heads;
  const kinds = config.list('layer_types');
  const rotaries = new Map(
    [...new Set(kinds)].map((kind) => [kind, rotaryOf(init, config, { kind: `${kind}`, headSize })]),
  );
  const dropout = (name: string) => new Dropout(config.number(name), randomness);
  const attention = (i: number) =>
    new MultiHeadAttention(init, {
      dModel,
      heads,
      ...masked(kinds[i], i),
      bias: config.flag('attention_bias'),
      rotary: rotaries.get(kinds[i]),
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
  return (i) =>
    new TransformerLayer({
      selfAttn: () => attention(i),
      feedForward: network,
      dropout: (subLayer) => (subLayer === 0 ? dropout('attention_dropout') : null),
      norm: (subLayer) => (i === 0 && subLayer === 0 ? new IdentityNorm() : modernBertNorm(context)),
      wiring: 'pre',
      randomness,
    });
}

/** The layer before the output of a head. */
export function modernBertTransform(context: FamilyContext) {
  const { init, config } = context;
  const dModel = config.size('hidden_size');
  return {
    dense: new Linear(init, dModel, dModel, config.flag('classifier_bias')),
    activation: activationOf(config.text('classifier_activation')),
    norm: modernBertNorm(context),
  };
}

export const modernBertNames = (side: 'encoder' | 'decoder'): StateNames => ({
  tokens: 'model.embeddings.tok_embeddings',
  norm: 'model.embeddings.norm',
  [`${side}.layers.*.self_attn.out_proj`]: `${LAYER}.attn.Wo`,
  [`${side}.layers.*.norm1`]: `${LAYER}.attn_norm`,
  [`${side}.layers.*.feed_forward.linear1`]: `${LAYER}.mlp.Wi`,
  [`${side}.layers.*.feed_forward.linear2`]: `${LAYER}.mlp.Wo`,
  [`${side}.layers.*.norm2`]: `${LAYER}.mlp_norm`,
  [`${side}.norm`]: 'model.final_norm',
});

export const modernBert: Family = {
  model: ModernBert,
  className: 'ModernBert',
  defaults: {
    hidden_size: 768,
    intermediate_size: 1152,
    num_hidden_layers: 22,
    num_attention_heads: 12,
    hidden_activation: 'gelu',
    max_position_embeddings: 8192,
    norm_eps: 1e-5,
    norm_bias: false,
    pad_token_id: 50283,
    eos_token_id: 50282,
    bos_token_id: 50281,
    cls_token_id: 50281,
    sep_token_id: 50282,
    attention_bias: false,
    attention_dropout: 0,
    global_attn_every_n_layers: 3,
    local_attention: 128, // size of a window, both directions together
    embedding_dropout: 0,
    mlp_bias: false,
    mlp_dropout: 0,
    decoder_bias: true,
    classifier_pooling: 'cls',
    classifier_dropout: 0,
    classifier_bias: false,
    classifier_activation: 'gelu',
    tie_word_embeddings: true,
  },
  complete: (config, fileConfig) => {
    config.sliding_window = fileConfig.sliding_window ?? Math.floor(numberIn(config, 'local_attention') / 2);
  },
  isSliding: (layer, config) => layer % numberIn(config, 'global_attn_every_n_layers') !== 0,
  rope: {
    theta: 160000,
    thetaName: 'global_rope_theta',
    sliding: { theta: 10000, thetaName: 'local_rope_theta', isScaled: true },
  },
  gguf: {
    isEncoder: true,
    names: {
      token_embd: 'model.embeddings.tok_embeddings',
      token_embd_norm: 'model.embeddings.norm',
      output_norm: 'model.final_norm',
      'blk.*.attn_norm': `${LAYER}.attn_norm`,
      'blk.*.attn_qkv': `${LAYER}.attn.Wqkv`,
      'blk.*.attn_output': `${LAYER}.attn.Wo`,
      'blk.*.ffn_norm': `${LAYER}.mlp_norm`,
      'blk.*.ffn_up': `${LAYER}.mlp.Wi`,
      'blk.*.ffn_down': `${LAYER}.mlp.Wo`,
      cls: 'head.dense',
      cls_norm: 'head.norm',
      'cls.norm': 'head.norm',
      'cls.output': 'classifier',
    },
    config: (file) => {
      const heads = file.needed('attention.head_count');
      const pattern = file.pattern('attention.sliding_window_pattern');
      const width = file.needed('embedding_length');
      return {
        hidden_size: width,
        intermediate_size: file.needed('feed_forward_length'),
        num_hidden_layers: file.layers,
        num_attention_heads: heads,
        max_position_embeddings: file.needed('context_length'),
        norm_eps: file.needed('attention.layer_norm_epsilon'),
        hidden_activation: file.text('hidden_activation') ?? 'gelu',
        local_attention: file.number('attention.sliding_window') ?? 0,
        layer_types: kindsOf(file.layers, pattern ?? 3, file.number('attention.sliding_window') ?? 0),
        classifier_pooling: file.number('classifier.pooling_type') === 2 ? 'cls' : 'mean', // 1 if it is missing
        ...labelsIn(file),
        ...file.rope(width / heads),
      };
    },
  },
};

/** The kinds of layers. With a period, the first of each has no window. */
function kindsOf(layers: number, pattern: number | readonly boolean[], window: number): string[] {
  const isNear = (i: number) => (typeof pattern === 'number' ? i % pattern !== 0 : pattern[i] === true);
  return Array.from({ length: layers }, (_, i) => (window > 0 && isNear(i) ? 'sliding_attention' : 'full_attention'));
}
