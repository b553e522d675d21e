import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm, PlainLayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add } from '../../ops/binary.js';
import { embedding } from '../../ops/embedding.js';
import { causalHead, headName } from '../causal-head.js';
import { CausalModel } from '../causal-model.js';
import { activationOf, dropoutOf, layerDropOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { PaddedBatch } from '../inputs.js';
import type { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/** Row of the first token in the table of positions. */
const FIRST_POSITION = 2;

/**
 * OPT (Zhang et al. 2022, arXiv 2205.01068): learned positions. In the 350M model, token embeddings are narrower than
 * the layers.
 */
export class Opt extends CausalModel {
  readonly tokens: Embedding;
  readonly positions: Embedding;
  readonly projectIn: Linear | null;
  readonly decoder: Stack;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    const [dModel, features] = [config.size('hidden_size'), config.size('word_embed_proj_dim')];
    const activation = activationOf(config.text('activation_function'));
    const bias = config.flag('enable_bias');
    const normsFirst = config.flag('do_layer_norm_before');
    const isAffine = config.flag('layer_norm_elementwise_affine');
    const norm = () => (isAffine ? new LayerNorm(init, dModel) : new PlainLayerNorm(init, dModel));
    this.tokens = new Embedding(init, config.size('vocab_size'), features);
    this.positions = new Embedding(init, this.maxLength + FIRST_POSITION, dModel);
    this.projectIn = features === dModel ? null : new Linear(init, features, dModel, false);
    const heads = config.size('num_attention_heads');
    const attention = () => dropoutOf(config, 'attention_dropout', this.randomness);
    const layer = () =>
      new TransformerLayer({
        selfAttn: () => new MultiHeadAttention(init, { dModel, heads, causal: true, bias, dropout: attention() }),
        feedForward: () => new FeedForward(init, { dModel, dFF: config.size('ffn_dim'), activation, bias }),
        norm,
        dropout: () => new Dropout(config.number('dropout'), this.randomness),
        wiring: normsFirst ? 'pre' : 'post',
        randomness: this.randomness,
      });
    const hasNorm = normsFirst && !config.flag('_remove_final_layer_norm');
    const projection = () => new Linear(init, dModel, features, false);
    this.decoder = new Stack(config.size('num_hidden_layers'), layer, hasNorm ? norm : null, {
      projection: features === dModel ? null : projection,
      layerDrop: layerDropOf(config, 'layerdrop', this.randomness),
    });
    this.head = causalHead(context, this.tokens, this.randomness);
  }

  protected embedTarget(ids: Tensor, tokenPositions: Tensor): Tensor {
    const { tokens, projectIn } = this;
    const paddingId = this.settings.numberOrNull('pad_token_id');
    const positions = this.positions.weight;
    const positionIds = add(tokenPositions, ids.device.tensor(Int32Array.of(FIRST_POSITION)));
    if (projectIn === null) return tokens.forward(ids, { positions, positionIds, paddingId });
    return add(projectIn.forward(tokens.forward(ids, { paddingId })), embedding(positions, positionIds));
  }

  /** Padding has the position before that of the first token, wherever it is. */
  protected override positionsOf(padded: PaddedBatch): Tensor {
    const { isToken } = padded.sequences;
    if (isToken === null) return super.positionsOf(padded);
    const positions = isToken.flatMap((row) => {
      let next = 0;
      return row.map((isReal) => (isReal ? next++ : -1));
    });
    return this.device.tensor(Int32Array.from(positions));
  }

  protected override get stateNames(): StateNames {
    const layer = 'model.decoder.layers.*';
    return {
      tokens: 'model.decoder.embed_tokens',
      positions: 'model.decoder.embed_positions',
      project_in: 'model.decoder.project_in',
      'decoder.layers.*.self_attn.qkv': ['q', 'k', 'v'].map((name) => `${layer}.self_attn.${name}_proj`),
      'decoder.layers.*.self_attn.out_proj': `${layer}.self_attn.out_proj`,
      'decoder.layers.*.norm1': `${layer}.self_attn_layer_norm`,
      'decoder.layers.*.feed_forward.linear1': `${layer}.fc1`,
      'decoder.layers.*.feed_forward.linear2': `${layer}.fc2`,
      'decoder.layers.*.norm2': `${layer}.final_layer_norm`,
      'decoder.norm': 'model.decoder.final_layer_norm',
      'decoder.projection': 'model.decoder.project_out',
      'head.out': headName(this.headKind),
    };
  }
}

export const opt: Family = {
  model: Opt,
  className: 'OPT',
  defaults: {
    hidden_size: 768,
    num_hidden_layers: 12,
    ffn_dim: 3072,
    max_position_embeddings: 2048, // the table has two more rows
    do_layer_norm_before: true,
    word_embed_proj_dim: null,
    dropout: 0.1,
    attention_dropout: 0,
    num_attention_heads: 12,
    activation_function: 'relu',
    layerdrop: 0,
    pad_token_id: 1,
    bos_token_id: 2,
    eos_token_id: 2,
    enable_bias: true,
    layer_norm_elementwise_affine: true,
    _remove_final_layer_norm: false,
    tie_word_embeddings: true,
  },
  complete: (config) => {
    config.word_embed_proj_dim ??= config.hidden_size;
  },
};
