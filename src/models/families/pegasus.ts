import { sinusoids } from '../../nn/positions.js';
import type { Family } from '../family.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Bart, bartDefaults, bartDesign } from './bart.js';

/**
 * PEGASUS (Zhang et al. 2019, arXiv 1912.08777): pre-norm layers, a final norm, and sinusoids, sines before cosines.
 */
export class Pegasus extends Bart {
  constructor(context: FamilyContext) {
    super(context, {
      ...bartDesign,
      wiring: 'pre',
      finalNorm: true,
      embeddingNorm: false,
      sinusoids: (length, dModel) => sinusoids(length, dModel, { layout: 'halves' }),
      storesSinusoids: true,
      heads: ['none', 'language-model'],
    });
  }
}

export const pegasus: Family = {
  model: Pegasus,
  className: 'Pegasus',
  generationClass: 'PegasusForConditionalGeneration',
  defaults: {
    ...bartDefaults,
    pad_token_id: 0,
    bos_token_id: null,
    eos_token_id: 1,
    decoder_start_token_id: 0,
    forced_eos_token_id: 1,
  },
};
