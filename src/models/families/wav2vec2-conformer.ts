import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import { BatchNorm } from '../../nn/batch-norm.js';
import { ConformerLayer, ConvolutionModule } from '../../nn/conformer.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { FrameAttention, RotatedInputAttention } from '../../nn/frame-attention.js';
import { LayerNorm } from '../../nn/norm.js';
import { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Wav2Vec2, wav2vec2, wav2vec2Defaults } from './wav2vec2.js';
import { conformerNames } from './wav2vec2-bert.js';

/**
 * wav2vec 2.0 with the layers of the Conformer (Wang et al. 2020, arXiv 2010.05171, in fairseq). Checkpoints have a
 * convolution for positions, too, but it is never used, and may have the table of rotary positions.
 */
class Wav2Vec2Conformer extends Wav2Vec2 {
  override readonly keptNames = /\.(pos_conv_embed\.|embed_positions\.inv_freq$)/;

  override ignores(name: string): boolean {
    return this.keptNames.test(name);
  }

  protected override positionsOf(): null {
    return null;
  }

  protected override layerMaker(context: FamilyContext): () => ConformerLayer {
    const { init, config } = context;
    const dModel = config.size('hidden_size');
    const activation = activationOf(config.text('hidden_act'));
    const dropout = (name: string) => dropoutOf(config, name, this.randomness);
    const norm = () => new LayerNorm(init, dModel);
    const attention = this.attentionMaker(context);
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
            ahead: (taps - 1) / 2,
            bias: false,
            activation,
            norm: () => new BatchNorm(init, dModel, { channelsLast: true }),
            dropout: dropout('conformer_conv_dropout'),
            readsPadding: true,
          }),
        norm,
        dropout: (part) => dropout(part === 'attention' ? 'attention_dropout' : 'hidden_dropout'),
        randomness: this.randomness,
      });
  }

  /** Returns a function that makes the kind of attention that `position_embeddings_type` names. */
  protected override attentionMaker({
    init,
    config,
  }: FamilyContext): (options: MultiHeadOptions) => MultiHeadAttention {
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
        throw new FormatError(
          `config.json: position_embeddings_type is ${describeValue(type)}, expected relative, rotary or null`,
        );
    }
  }

  protected override get stateNames(): StateNames {
    const { bodyName } = this;
    return { ...super.stateNames, ...conformerNames(bodyName, this.settings, 'batch_norm') };
  }
}

export const wav2vec2Conformer: Family = {
  ...wav2vec2,
  model: Wav2Vec2Conformer,
  className: 'Wav2Vec2Conformer',
  defaults: {
    ...wav2vec2Defaults,
    do_stable_layer_norm: true, // the norm follows the layers
    position_embeddings_type: 'relative',
    rotary_embedding_base: 10000,
    conv_depthwise_kernel_size: 31,
    conformer_conv_dropout: 0.1,
  },
};
