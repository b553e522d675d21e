// The layers of Conformers with the settings and names of wav2vec 2.0 in transformers.

import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../nn/attention.js';
import { ConformerLayer, ConvolutionModule, type ConvolutionOptions } from '../nn/conformer.js';
import type { Randomness } from '../nn/dropout.js';
import { FeedForward } from '../nn/feed-forward.js';
import { FrameAttention, RotatedInputAttention } from '../nn/frame-attention.js';
import type { Initializer } from '../nn/init.js';
import type { LayerNorm } from '../nn/norm.js';
import { RotaryEmbedding } from '../nn/rotary-embedding.js';
import type { StateNames } from '../nn/state-names.js';
import { activationOf, dropoutOf } from './config-values.js';
import type { ModelConfig } from './model-config.js';

export type AttentionMaker = (options: MultiHeadOptions) => MultiHeadAttention;

/** The parts of layers in which the families differ. */
interface ConformerParts {
  readonly attention: AttentionMaker;
  readonly norm: () => LayerNorm;
  /** Returns settings of the convolution for its kernel size. */
  readonly convolution: (taps: number) => Pick<ConvolutionOptions, 'ahead' | 'norm' | 'readsPadding'>;
}

/** Returns a function that makes a layer. Throws FormatError for an even kernel size. */
export function conformerLayers(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  { attention, norm, convolution }: ConformerParts,
): () => ConformerLayer {
  const dModel = config.size('hidden_size');
  const activation = activationOf(config.text('hidden_act'));
  const dropout = (name: string) => dropoutOf(config, name, randomness);
  const taps = config.size('conv_depthwise_kernel_size');
  if (taps % 2 === 0)
    throw new FormatError(`config.json: conv_depthwise_kernel_size is ${taps}, expected an odd number`);
  return () =>
    new ConformerLayer({
      selfAttn: () =>
        attention({ dModel, heads: config.size('num_attention_heads'), dropout: dropout('attention_dropout') }),
      feedForward: () =>
        new FeedForward(init, {
          dModel,
          activation,
          dFF: config.size('intermediate_size'),
          dropout: dropout('activation_dropout'),
        }),
      convolution: () =>
        new ConvolutionModule(init, {
          dModel,
          taps,
          bias: false,
          activation,
          dropout: dropout('conformer_conv_dropout'),
          ...convolution(taps),
        }),
      norm,
      dropout: (part) => dropout(part === 'attention' ? 'attention_dropout' : 'hidden_dropout'),
      randomness,
    });
}

/**
 * Returns a function that makes the kind of attention that `position_embeddings_type` names: relative, rotary, or null
 * for none. Throws FormatError for another kind; `expected` lists the kinds of the family.
 */
export function frameAttention(init: Initializer, config: ModelConfig, expected: string): AttentionMaker {
  const { position_embeddings_type: type } = config.values;
  switch (type) {
    case 'relative':
      return (options) => new FrameAttention(init, options);
    case 'rotary': {
      const headSize = Math.floor(config.size('hidden_size') / config.size('num_attention_heads'));
      const theta = config.number('rotary_embedding_base');
      const rotation = new RotaryEmbedding(init, { headSize, maxLength: 1 << 20, layout: 'halves', theta });
      return (options) => new RotatedInputAttention(init, options, rotation);
    }
    case null:
      return (options) => new MultiHeadAttention(init, options);
    default:
      throw new FormatError(`config.json: position_embeddings_type is ${describeValue(type)}, expected ${expected}`);
  }
}

/** Names of a Conformer's layers. `body`: the module that holds the encoder. `norm`: the norm after the convolution. */
export function conformerNames(body: string, settings: ModelConfig, norm: string): StateNames {
  const path = 'encoder.layers.*';
  const layer = `${body}.encoder.layers.*`;
  const heads = [settings.size('num_attention_heads')];
  const network = (ours: string, stored: string): StateNames => ({
    [`${path}.${ours}.linear1`]: `${layer}.${stored}.intermediate_dense`,
    [`${path}.${ours}.linear2`]: `${layer}.${stored}.output_dense`,
  });
  return {
    [`${path}.first_norm`]: `${layer}.ffn1_layer_norm`,
    ...network('first_feed_forward', 'ffn1'),
    [`${path}.norm1`]: `${layer}.self_attn_layer_norm`,
    [`${path}.self_attn.qkv`]: ['q', 'k', 'v'].map((name) => `${layer}.self_attn.linear_${name}`),
    [`${path}.self_attn.out_proj`]: `${layer}.self_attn.linear_out`,
    [`${path}.self_attn.relative.key_rows`]: `${layer}.self_attn.distance_embedding.weight`,
    [`${path}.self_attn.relative_keys`]: `${layer}.self_attn.linear_pos`,
    [`${path}.self_attn.content_bias`]: { name: `${layer}.self_attn.pos_bias_u`, leading: heads },
    [`${path}.self_attn.distance_bias`]: { name: `${layer}.self_attn.pos_bias_v`, leading: heads },
    [`${path}.convolution_norm`]: `${layer}.conv_module.layer_norm`,
    [`${path}.convolution.pointwise1`]: `${layer}.conv_module.pointwise_conv1`,
    [`${path}.convolution.depthwise`]: `${layer}.conv_module.depthwise_conv`,
    [`${path}.convolution.norm`]: `${layer}.conv_module.${norm}`,
    [`${path}.convolution.pointwise2`]: `${layer}.conv_module.pointwise_conv2`,
    [`${path}.norm2`]: `${layer}.ffn2_layer_norm`,
    ...network('feed_forward', 'ffn2'),
    [`${path}.end_norm`]: `${layer}.final_layer_norm`,
  };
}
