import { listOf } from '../core/check.js';
import { checkPaired, TEXTS } from './check.js';
import { type Scores, scoresOf } from './classification.js';

/**
 * Precision, recall and F1 of entities, given by the labels of tokens: `B-PER`, `I-PER`, `E-PER`, `S-PER`, `O`. An
 * entity is right if its kind, its first and its last token are. Counts equal seqeval's defaults: B- and S- begin an
 * entity. I- and E- also begin one after another kind, and after O, E- or S-. Throws ArgumentError if both sides differ
 * in number.
 */
export function entityScores(
  predictions: readonly (readonly string[])[],
  references: readonly (readonly string[])[],
): Scores {
  checkPaired('entityScores', { predictions, references }, listOf(TEXTS, 'an array with the labels of each sequence'));
  let [right, predicted, actual] = [0, 0, 0];
  references.forEach((labels, i) => {
    const [expectedEntities, predictedEntities] = [
      new Set(entitiesIn(labels)),
      entitiesIn(predictions[i] as readonly string[]),
    ];
    actual += expectedEntities.size;
    predicted += predictedEntities.length;
    right += predictedEntities.filter((entity) => expectedEntities.has(entity)).length;
  });
  return scoresOf({ right, predicted, actual });
}

/** "kind start end" of each entity of a sequence. */
function entitiesIn(labels: readonly string[]): string[] {
  const found: string[] = [];
  let open: { readonly kind: string; readonly start: number } | null = null;
  let before = 'O';
  for (const [i, label] of [...labels, 'O'].entries()) {
    const { tag, kind } = partsOf(label);
    const mayContinue = (tag === 'I' || tag === 'E') && before !== 'E' && before !== 'S';
    if (open !== null && !(mayContinue && open.kind === kind)) {
      found.push(`${open.kind} ${open.start} ${i}`);
      open = null;
    }
    if (tag !== 'O' && open === null) open = { kind, start: i };
    before = tag;
  }
  return found;
}

/** The tag of a label and its kind. A label without a tag, such as `PER`, counts as inside an entity of that kind. */
function partsOf(label: string): { tag: string; kind: string } {
  if (label === 'O') return { tag: 'O', kind: '_' };
  const tagged = /^([BIES])(?:-(.*))?$/s.exec(label);
  return tagged === null ? { tag: 'I', kind: label } : { tag: tagged[1] as string, kind: tagged[2] || '_' };
}
