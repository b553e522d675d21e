// Average precision of detectors, as COCO defines it (Lin et al. 2014, arXiv 1405.0312).

import { isObject, listOf } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { checkPaired } from './check.js';

/**
 * Edges of a box: in pixels of the image, or in fractions of its width and height if a pipeline was asked for these.
 */
export interface DetectedBox {
  readonly xmin: number;
  readonly ymin: number;
  readonly xmax: number;
  readonly ymax: number;
}

/** An object that a detector found, as the pipeline `object-detection` returns it. */
export interface DetectedObject {
  readonly label: string;
  readonly score: number;
  readonly box: DetectedBox;
}

/** An object in an image. */
export type LabelledBox = Omit<DetectedObject, 'score'>;

export interface DetectionScores {
  /** Mean of the average precision at overlaps of 0.5, 0.55, … 0.95: COCO's main metric. */
  readonly map: number;
  /** Average precision at an overlap of 0.5, and of 0.75. */
  readonly map50: number;
  readonly map75: number;
}

/** Something in an image. */
const OBJECT = {
  accepts: (value: unknown) => isObject(value) && isObject(value.box),
  expected: 'an object with a label and a box',
};
/** Overlaps from which a detection counts as right. */
const OVERLAPS = Array.from({ length: 10 }, (_, i) => 0.5 + 0.05 * i);
/** Detections of a class in an image that count: those with the best scores. */
const MAX_DETECTIONS = 100;
/** Recalls at which precision is read: 0, 0.01, … 1. */
const RECALLS = Array.from({ length: 101 }, (_, i) => i / 100);

/**
 * Average precision of detections, for objects of all sizes. `outputs` and `references` have the objects of each image.
 * Classes without a reference are left out. The scores are NaN if there is no reference. Throws ArgumentError unless
 * there are as many references as outputs.
 */
export function detectionScores(
  outputs: readonly (readonly DetectedObject[])[],
  references: readonly (readonly LabelledBox[])[],
): DetectionScores {
  checkPaired(
    'detectionScores',
    { outputs, references },
    listOf(listOf(OBJECT, 'an array of objects'), 'an array with the objects of each image'),
  );
  for (const { box, label } of [...outputs, ...references].flat()) {
    const edges = [box.xmin, box.ymin, box.xmax, box.ymax];
    if (!edges.every(Number.isFinite))
      throw new ArgumentError(`detectionScores: a box of ${label} has the edges ${edges}, expected finite numbers`);
  }
  const labels = [...new Set(references.flat().map(({ label }) => label))];
  const byClass = labels.map((label) => {
    const isOwn = (object: LabelledBox) => object.label === label;
    const images = outputs.map((found, i) => ({
      found: best(found.filter(isOwn)),
      wanted: (references[i] as readonly LabelledBox[]).filter(isOwn),
    }));
    return OVERLAPS.map((overlap) => averagePrecision(images, overlap));
  });
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanAt = (i: number) => mean(byClass.map((precisions) => precisions[i] as number));
  return { map: mean(byClass.flat()), map50: meanAt(0), map75: meanAt(5) };
}

function best(found: readonly DetectedObject[]): DetectedObject[] {
  return [...found].sort((a, b) => b.score - a.score).slice(0, MAX_DETECTIONS);
}

interface ClassInImage {
  readonly found: readonly DetectedObject[];
  readonly wanted: readonly LabelledBox[];
}

function averagePrecision(images: readonly ClassInImage[], min: number): number {
  const decisions = images.flatMap((image) => rightOf(image, min)).sort((a, b) => b.score - a.score);
  const total = images.reduce((sum, { wanted }) => sum + wanted.length, 0);
  let right = 0;
  const points = decisions.map(({ isRight }, i) => {
    if (isRight) right++;
    return { recall: right / total, precision: right / (i + 1) };
  });
  // Precision at a recall is the best at this recall or a greater one.
  let max = 0;
  const envelope = points.reverse().map(({ recall, precision }) => {
    max = Math.max(max, precision);
    return { recall, precision: max };
  });
  envelope.reverse();
  const precisions = RECALLS.map((recall) => envelope.find((point) => point.recall >= recall)?.precision ?? 0);
  return precisions.reduce((sum, precision) => sum + precision, 0) / RECALLS.length;
}

/** Returns for each detection if it is right. The best detection takes the object that it overlaps most, and so on. */
function rightOf({ found, wanted }: ClassInImage, min: number): { score: number; isRight: boolean }[] {
  const isTaken = wanted.map(() => false);
  return found.map(({ box, score }) => {
    let [chosen, max] = [-1, Math.min(min, 1 - 1e-10)];
    wanted.forEach((object, i) => {
      const overlap = overlapOf(box, object.box);
      if (!isTaken[i] && overlap >= max) [chosen, max] = [i, overlap];
    });
    if (chosen >= 0) isTaken[chosen] = true;
    return { score, isRight: chosen >= 0 };
  });
}

/** Intersection over union. */
function overlapOf(a: DetectedBox, b: DetectedBox): number {
  const width = Math.min(a.xmax, b.xmax) - Math.max(a.xmin, b.xmin);
  const height = Math.min(a.ymax, b.ymax) - Math.max(a.ymin, b.ymin);
  if (width <= 0 || height <= 0) return 0;
  const area = (box: DetectedBox) => (box.xmax - box.xmin) * (box.ymax - box.ymin);
  const shared = width * height;
  return shared / (area(a) + area(b) - shared);
}
