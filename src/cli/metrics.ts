/** Insertions, deletions and substitutions that turn `a` into `b` (Levenshtein 1966). */
export function editDistance<T>(a: readonly T[], b: readonly T[]): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = (row[j] as number) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] as number) + 1, (next[j] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

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
