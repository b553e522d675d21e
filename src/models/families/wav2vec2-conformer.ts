import { BatchNorm } from '../../nn/batch-norm.js';
import type { ConformerLayer } from '../../nn/conformer.js';
import { LayerNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { conformerLayers, conformerNames, frameAttention } from '../conformer-layers.js';
import type { Family } from '../family.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Wav2Vec2, wav2vec2, wav2vec2Defaults } from './wav2vec2.js';

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
    const convolutionNorm = () => new BatchNorm(init, dModel, { channelsLast: true });
    return conformerLayers(init, config, this.randomness, {
      attention: frameAttention(init, config, 'relative, rotary or null'),
      norm: () => new LayerNorm(init, dModel),
      convolution: (taps) => ({ ahead: (taps - 1) / 2, norm: convolutionNorm, readsPadding: true }),
    });
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
