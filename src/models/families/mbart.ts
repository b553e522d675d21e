import type { Family } from '../family.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Bart, bartDefaults, bartDesign } from './bart.js';

/** mBART (Liu et al. 2020, arXiv 2001.08210): multilingual BART with pre-norm layers. */
export class MBart extends Bart {
  constructor(context: FamilyContext) {
    super(context, { ...bartDesign, wiring: 'pre', finalNorm: true });
  }

  /** Returns the language token, which is the last token of a text. */
  protected override startOf(ids: readonly number[], pad: number | null): number {
    const tokens = ids.filter((id) => id !== pad).length;
    return ids.at(tokens - 1) as number;
  }
}

export const mBart: Family = {
  model: MBart,
  className: 'MBart',
  generationClass: 'MBartForConditionalGeneration',
  defaults: { ...bartDefaults, decoder_start_token_id: null }, // null: the token of the target language
};
