import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm, type Norm } from '../../nn/norm.js';
import { LinearBias } from '../../nn/position-bias.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { dropoutOf } from '../config-values.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family, GgufFamily, GgufReadable, GgufSettings } from '../family.js';
import type { Json } from '../model-config.js';
import { chooseHead, type PredictionHead, wordPredictionNames } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { embeddingNames, type TextEmbeddings } from '../text-embeddings.js';
import { bert, bertEmbeddings, bertHeads, bertLayerNames, bertPooler, bertSizes } from './bert.js';

/**
 * Jina's BERT of version 2 (Günther et al. 2023, arXiv 2310.19923): scores fall with the distance in both directions,
 * and the feed-forward network is gated. Its repositories bring their own code and have BERT's model type. Variants for
 * code normalize queries and keys, and the attention's output twice.
 */
export class JinaBert extends EncoderModel {
  readonly embeddings: TextEmbeddings;
  readonly encoder: Stack;
  override readonly pooler: PredictionHead | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config, head } = context;
    const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
    const activation = config.oneOf('feed_forward_type', { geglu: 'gelu', reglu: 'relu' } as const);
    const normsTwice = this.#normsTwice;
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const dropout = (p = config.number('hidden_dropout_prob')) => new Dropout(p, this.randomness);
    const positionBias = new LinearBias(init, heads, config.size('max_position_embeddings'));
    this.embeddings = bertEmbeddings(init, config, this.randomness, { positions: 0 });
    const attention: MultiHeadOptions = {
      dModel,
      heads,
      positionBias,
      dropout: dropoutOf(config, 'attention_probs_dropout_prob', this.randomness),
    };
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          normsTwice
            ? new NormedAttention(init, { ...attention, qNorm: norm, kNorm: norm }, norm)
            : new MultiHeadAttention(init, attention),
        feedForward: () =>
          new FeedForward(init, {
            dModel,
            dFF: config.size('intermediate_size'),
            activation,
            gated: true,
            fused: normsTwice ? 'gateLast' : true,
            bias: false,
            outBias: true,
            dropout: dropout(),
          }),
        norm,
        dropout: (subLayer) => (subLayer === 0 ? dropout() : null),
        wiring: 'post',
        randomness: this.randomness,
      });
    this.encoder = new Stack(config.size('num_hidden_layers'), layer, null);
    this.pooler = bertPooler(context);
    const kinds = bertHeads(context, this.embeddings.tokens, this.randomness);
    this.head = chooseHead(config, head, {
      'masked-language-model': kinds['masked-language-model'],
      'sequence-classification': kinds['sequence-classification'],
    });
  }

  /** True for the variants whose config names this code. */
  get #normsTwice(): boolean {
    const { _name_or_path: path, auto_map: code } = this.config;
    return JSON.stringify([path, code]).includes('qk-post-norm');
  }

  protected embed(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    return this.embeddings.forward(ids, positions, types);
  }

  protected override get bodyName(): string {
    return 'bert';
  }

  protected override get stateNames(): StateNames {
    const [path, layer] = ['encoder.layers.*', 'bert.encoder.layer.*'];
    const twice = {
      [`${path}.self_attn.residual_norm`]: `${layer}.attention.output.LayerNorm`,
      [`${path}.self_attn.q_norm`]: `${layer}.attention.self.layer_norm_q`,
      [`${path}.self_attn.k_norm`]: `${layer}.attention.self.layer_norm_k`,
      [`${path}.norm1`]: `${layer}.layer_norm_1`,
      [`${path}.feed_forward.linear1`]: `${layer}.mlp.up_gated_layer`,
      [`${path}.feed_forward.linear2`]: `${layer}.mlp.down_layer`,
      [`${path}.norm2`]: `${layer}.layer_norm_2`,
    };
    const once = {
      [`${path}.feed_forward.linear1`]: `${layer}.mlp.gated_layers`,
      [`${path}.feed_forward.linear2`]: `${layer}.mlp.wo`,
      [`${path}.norm2`]: `${layer}.mlp.layernorm`,
    };
    return {
      ...(this.headKind === 'masked-language-model'
        ? wordPredictionNames(this.settings)
        : { 'head.dense': 'bert.pooler.dense', 'head.out': 'classifier' }),
      'pooler.dense': 'bert.pooler.dense',
      ...embeddingNames('bert.embeddings'),
      ...bertLayerNames(layer),
      ...(this.#normsTwice ? twice : once),
    };
  }
}

/** norm(attention(x) + x). */
class NormedAttention extends MultiHeadAttention {
  readonly residualNorm: Norm;

  constructor(init: Initializer, options: MultiHeadOptions, norm: () => Norm) {
    super(init, options);
    this.residualNorm = norm();
  }

  override forward(x: Tensor, batch: Sequences): Tensor {
    return this.residualNorm.forward(super.forward(x, batch), x);
  }
}

const LAYER = 'bert.encoder.layer.*';

const ggufNames = (bert as GgufReadable).gguf.names;

const sizesOf = (file: GgufSettings): Json => ({
  ...bertSizes(file),
  position_embedding_type: 'alibi',
  feed_forward_type: 'geglu',
  max_position_embeddings: file.needed('context_length'),
});

/** GGUF files of variants for code, which normalize queries and keys. */
const ggufTwice: GgufFamily = {
  isEncoder: true,
  names: {
    ...ggufNames,
    'blk.*.attn_q_norm': `${LAYER}.attention.self.layer_norm_q`,
    'blk.*.attn_k_norm': `${LAYER}.attention.self.layer_norm_k`,
    'blk.*.attn_norm_2': `${LAYER}.layer_norm_1`,
    'blk.*.ffn_up': `${LAYER}.mlp.up_gated_layer`,
    'blk.*.ffn_down': `${LAYER}.mlp.down_layer`,
    'blk.*.layer_output_norm': `${LAYER}.layer_norm_2`,
  },
  joined: [{ name: `${LAYER}.mlp.up_gated_layer.weight`, of: ['blk.*.ffn_up.weight', 'blk.*.ffn_gate.weight'] }],
  config: (file) => ({ ...sizesOf(file), _name_or_path: 'jinaai/jina-bert-v2-qk-post-norm' }),
};

export const jinaBert: Family = {
  model: JinaBert,
  className: 'JinaBert',
  defaults: { ...bert.defaults, feed_forward_type: 'original', max_position_embeddings: 8192 },
  vocabulary: 'bert',
  gguf: {
    isEncoder: true,
    variants: [{ tensor: 'blk.0.attn_q_norm.weight', gguf: ggufTwice }],
    names: {
      ...ggufNames,
      'blk.*.ffn_up': `${LAYER}.mlp.gated_layers`,
      'blk.*.ffn_down': `${LAYER}.mlp.wo`,
      'blk.*.layer_output_norm': `${LAYER}.mlp.layernorm`,
    },
    joined: [{ name: `${LAYER}.mlp.gated_layers.weight`, of: ['blk.*.ffn_gate.weight', 'blk.*.ffn_up.weight'] }],
    config: sizesOf,
  },
};
