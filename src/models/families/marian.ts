import { sinusoids } from '../../nn/positions.js';
import type { Family } from '../family.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Bart, bartDefaults, bartDesign } from './bart.js';

/**
 * Marian (Junczys-Dowmunt et al. 2018, arXiv 1804.00344) translates: the Transformer of 2017, with sines before
 * cosines.
 */
export class Marian extends Bart {
  constructor(context: FamilyContext) {
    super(context, {
      ...bartDesign,
      embeddingNorm: false,
      sinusoids: (length, dModel) => sinusoids(length, dModel, { layout: 'halves' }),
      storesSinusoids: true,
      heads: ['none', 'language-model'],
    });
  }

  protected override get sharesTokens(): boolean {
    return super.sharesTokens && this.settings.flag('share_encoder_decoder_embeddings');
  }

  protected override get shiftsSource(): boolean {
    return false;
  }

  /** Size of the target vocabulary. */
  override get vocabSize(): number {
    const sharedSize = this.settings.flag('share_encoder_decoder_embeddings')
      ? null
      : this.settings.numberOrNull('decoder_vocab_size');
    return sharedSize ?? super.vocabSize;
  }
}

export const marian: Family = {
  model: Marian,
  className: 'Marian',
  generationClass: 'MarianMTModel',
  defaults: {
    ...bartDefaults,
    decoder_start_token_id: 58100,
    pad_token_id: 58100,
    eos_token_id: 0,
    bos_token_id: null,
    forced_eos_token_id: 0,
    share_encoder_decoder_embeddings: true,
  },
};
