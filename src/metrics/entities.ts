import { checkPaired, type Scores, scoresOf } from './classification.js';

/**
 * Precision, recall and F1 of entities, by the labels of their tokens, `B-PER`, `I-PER`, `O`: an entity is right if its kind,
 * beginning and end are. As seqeval counts by default. Throws ArgumentError if there are not as many sequences on both sides.
 */
export function entityScores(
  predictions: readonly (readonly string[])[],
  references: readonly (readonly string[])[],
): Scores {
  checkPaired('entityScores', predictions, references);
  let [right, predicted, actual] = [0, 0, 0];
  references.forEach((labels, i) => {
    const [own, given] = [new Set(entitiesIn(labels)), entitiesIn(predictions[i] as readonly string[])];
    actual += own.size;
    predicted += given.length;
    right += given.filter((entity) => own.has(entity)).length;
  });
  return scoresOf({ right, predicted, actual });
}

/** "kind start end" of each. */
function entitiesIn(labels: readonly string[]): string[] {
  const found: string[] = [];
  let open: { kind: string; start: number } | null = null;
  for (const [i, label] of [...labels, 'O'].entries()) {
    const [, prefix = label === 'O' ? 'O' : 'I', kind = label] = /^([BIES])-(.*)$/.exec(label) ?? [];
    const goesOn = open !== null && (prefix === 'I' || prefix === 'E') && open.kind === kind;
    if (open !== null && !goesOn) {
      found.push(`${open.kind} ${open.start} ${i}`);
      open = null;
    }
    if (label !== 'O' && open === null) open = { kind, start: i };
  }
  return found;
}
