import { Bart, bartDesign } from './bart.js';
import type { FamilyContext } from './pretrained-model.js';

/** mBART (Liu et al. 2020, arXiv 2001.08210): BART of many languages, whose layers are pre-norm. */
export class MBart extends Bart {
  constructor(context: FamilyContext) {
    super(context, { ...bartDesign, wiring: 'pre', finalNorm: true });
  }

  /** The language, which is the last of the tokens. */
  protected override startOf(ids: readonly number[], pad: number | null): number {
    const tokens = ids.filter((id) => id !== pad).length;
    return ids.at(tokens - 1) as number;
  }
}
