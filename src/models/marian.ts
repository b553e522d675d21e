import { sinusoids } from '../nn/positions.js';
import { Bart, bartDesign } from './bart.js';
import type { FamilyContext } from './pretrained-model.js';

/** Marian's translators (Junczys-Dowmunt et al. 2018, arXiv 1804.00344): the Transformer of 2017, sines before cosines. */
export class Marian extends Bart {
  constructor(context: FamilyContext) {
    super(context, {
      ...bartDesign,
      embeddingNorm: false,
      sinusoids: (length, dModel) => sinusoids(length, dModel, { layout: 'halves' }),
      heads: ['none', 'language-model'],
    });
  }

  protected override get sharesTokens(): boolean {
    return super.sharesTokens && this.settings.flag('share_encoder_decoder_embeddings');
  }

  protected override get shiftsSource(): boolean {
    return false;
  }

  /** Of the target. */
  override get vocabSize(): number {
    const own = this.settings.flag('share_encoder_decoder_embeddings')
      ? null
      : this.settings.numberOrNull('decoder_vocab_size');
    return own ?? super.vocabSize;
  }
}
