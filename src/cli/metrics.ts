import { editDistance } from '../metrics/word-error-rate.js';

/** How far outputs are from what was expected. */
interface ErrorRates {
  /** Inputs. */
  readonly count: number;
  /** The share of outputs that are none of their references. */
  readonly wordError: number;
  /** Edits to the nearest reference, per token of those references. */
  readonly tokenError: number;
}

/** Compares outputs, as lists of tokens, with the references that are right for each. */
export function errorRates(
  outputs: readonly (readonly string[])[],
  references: readonly (readonly (readonly string[])[])[],
): ErrorRates {
  let wrong = 0;
  let edits = 0;
  let length = 0;
  outputs.forEach((output, i) => {
    const scored = (references[i] as readonly (readonly string[])[]).map((reference) => ({
      reference,
      edits: editDistance(output, reference),
    }));
    const nearest = scored.reduce((best, each) => (each.edits < best.edits ? each : best));
    if (nearest.edits > 0) wrong++;
    edits += nearest.edits;
    length += nearest.reference.length;
  });
  return { count: outputs.length, wordError: wrong / outputs.length, tokenError: edits / length };
}
