import { editDistance } from '../metrics/word-error-rate.js';

/** Error rates of outputs. */
interface ErrorRates {
  /** Number of inputs. */
  readonly count: number;
  /** Share of outputs that equal none of their references. */
  readonly wordError: number;
  /** Edit distance to the nearest reference, per token of those references. */
  readonly tokenError: number;
}

/** Compares outputs, as lists of tokens, with the references of each. */
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
    const nearest = scored.reduce((best, candidate) => (candidate.edits < best.edits ? candidate : best));
    if (nearest.edits > 0) wrong++;
    edits += nearest.edits;
    length += nearest.reference.length;
  });
  return { count: outputs.length, wordError: wrong / outputs.length, tokenError: edits / length };
}
