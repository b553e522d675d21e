// The base of objectives with a label for each token.

import type { ModelInputs } from '../models/inputs.js';
import { IGNORED } from '../models/losses.js';
import { packed } from '../nn/token-batch.js';
import { ModelObjective } from './model-objective.js';

/** Ids, and the label at each; -100 if there is none. */
export interface LabelledTokens {
  readonly inputIds: readonly number[];
  readonly labels: readonly number[];
}

/** Returns the first `length` tokens. */
export function truncated({ inputIds, labels }: LabelledTokens, length: number): LabelledTokens {
  return { inputIds: inputIds.slice(0, length), labels: labels.slice(0, length) };
}

/** Trains the prediction of token labels. A subclass encodes rows. */
export abstract class TokenObjective<Row extends object> extends ModelObjective<Row, LabelledTokens> {
  override inputs(examples: readonly LabelledTokens[]): ModelInputs {
    return {
      inputIds: packed(examples.map(({ inputIds }) => inputIds)),
      labels: examples.map(({ labels }) => [...labels]),
    };
  }

  protected override lengthOf({ inputIds }: LabelledTokens): number {
    return inputIds.length;
  }

  protected override weight(examples: readonly LabelledTokens[]): number {
    return examples.reduce((sum, { labels }) => sum + labels.filter((label) => label !== IGNORED).length, 0);
  }
}
