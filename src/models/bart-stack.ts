// The stacks of BART, shared with its descendants and Whisper.

import { MultiHeadAttention, type MultiHeadOptions } from '../nn/attention.js';
import { CrossAttention } from '../nn/cross-attention.js';
import { Dropout, type Randomness } from '../nn/dropout.js';
import { FeedForward } from '../nn/feed-forward.js';
import type { Initializer } from '../nn/init.js';
import { TransformerLayer } from '../nn/layer.js';
import { LayerNorm } from '../nn/norm.js';
import { Stack } from '../nn/stack.js';
import type { StateNames } from '../nn/state-names.js';
import { activationOf, dropoutOf, layerDropOf } from './config-values.js';
import type { ModelConfig } from './model-config.js';

export interface BartStackOptions {
  readonly wiring: 'pre' | 'post';
  /** True if a norm comes after the last layer. */
  readonly finalNorm: boolean;
  /** Features of the encoder's output, if they may differ from those of the decoder. Default: none. */
  readonly memorySize?: number | undefined;
  /** Self-attention of the encoder's layers. Default: to all tokens. */
  readonly encoderAttention?: (init: Initializer, layer: number, randomness: Randomness) => MultiHeadAttention;
}

/** Makes the encoder, or the decoder, which attends to the encoder's output. */
export function bartStack(
  init: Initializer,
  config: ModelConfig,
  side: 'encoder' | 'decoder',
  randomness: Randomness,
  { wiring, finalNorm, memorySize, encoderAttention }: BartStackOptions,
): Stack {
  const isDecoder = side === 'decoder';
  const dModel = config.size('d_model');
  const heads = config.size(`${side}_attention_heads`);
  const activation = activationOf(config.text('activation_function'));
  const norm = () => new LayerNorm(init, dModel);
  const dropout = (name: string) => new Dropout(config.number(name), randomness);
  const attention = () => dropoutOf(config, 'attention_dropout', randomness);
  const ownAttention = isDecoder ? undefined : encoderAttention;
  const crossAttention = (options: MultiHeadOptions) =>
    memorySize === undefined
      ? new MultiHeadAttention(init, options)
      : new CrossAttention(init, { ...options, memorySize });
  const layer = (i: number) =>
    new TransformerLayer({
      selfAttn: () =>
        ownAttention?.(init, i, randomness) ??
        new MultiHeadAttention(init, { dModel, heads, causal: isDecoder, dropout: attention() }),
      multiheadAttn: isDecoder ? () => crossAttention({ dModel, heads, dropout: attention() }) : null,
      feedForward: () =>
        new FeedForward(init, {
          dModel,
          dFF: config.size(`${side}_ffn_dim`),
          activation,
          dropout: dropout('activation_dropout'),
        }),
      norm,
      dropout: () => dropout('dropout'),
      wiring,
      randomness,
    });
  return new Stack(config.size(`${side}_layers`), layer, finalNorm ? norm : null, {
    layerDrop: layerDropOf(config, `${side}_layerdrop`, randomness),
  });
}

const [encoder, decoder] = ['model.encoder.layers.*', 'model.decoder.layers.*'];
const projections = (attention: string) => ['q', 'k', 'v'].map((name) => `${attention}.${name}_proj`);

export const bartStackNames: StateNames = {
  'encoder.layers.*.self_attn.qkv': projections(`${encoder}.self_attn`),
  'encoder.layers.*.self_attn.out_proj': `${encoder}.self_attn.out_proj`,
  'encoder.layers.*.norm1': `${encoder}.self_attn_layer_norm`,
  'encoder.layers.*.feed_forward.linear1': `${encoder}.fc1`,
  'encoder.layers.*.feed_forward.linear2': `${encoder}.fc2`,
  'encoder.layers.*.norm2': `${encoder}.final_layer_norm`,
  'encoder.norm': 'model.encoder.layer_norm',
  'decoder.layers.*.self_attn.qkv': projections(`${decoder}.self_attn`),
  'decoder.layers.*.self_attn.out_proj': `${decoder}.self_attn.out_proj`,
  'decoder.layers.*.norm1': `${decoder}.self_attn_layer_norm`,
  'decoder.layers.*.multihead_attn.qkv': projections(`${decoder}.encoder_attn`),
  'decoder.layers.*.multihead_attn.out_proj': `${decoder}.encoder_attn.out_proj`,
  'decoder.layers.*.norm2': `${decoder}.encoder_attn_layer_norm`,
  'decoder.layers.*.feed_forward.linear1': `${decoder}.fc1`,
  'decoder.layers.*.feed_forward.linear2': `${decoder}.fc2`,
  'decoder.layers.*.norm3': `${decoder}.final_layer_norm`,
  'decoder.norm': 'model.decoder.layer_norm',
};
