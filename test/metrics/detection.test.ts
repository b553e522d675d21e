// Average precision of detections beside pycocotools (make_detection_scores.py).
import { describe, expect, it } from 'vitest';
import { detectionScores } from '../../src/metrics/index.js';
import cases from './detection-scores.json' with { type: 'json' };

const box = { xmin: 0, ymin: 0, xmax: 10, ymax: 10 };

describe('detectionScores', () => {
  it.each(cases.map((each, i) => ({ ...each, i })))('gives the scores of COCO: case $i', (each) => {
    const { map, map50, map75 } = detectionScores(each.outputs, each.references);
    [map, map50, map75].forEach((score, i) => {
      expect(Math.abs(score - each.scores[i]!)).toBeLessThan(1e-9);
    });
  });

  it('is 0 if nothing is found, and NaN without references', () => {
    expect(detectionScores([[]], [[{ label: 'a', box }]]).map).toBe(0);
    expect(detectionScores([[{ label: 'a', box, score: 1 }]], [[]]).map).toBeNaN();
  });

  it('refuses lists that do not fit, and boxes without edges', () => {
    expect(() => detectionScores([], [])).toThrow('there are 0 outputs for 0 references');
    const wrong = { label: 'a', box: { ...box, xmax: Number.NaN } };
    expect(() => detectionScores([[]], [[wrong]])).toThrow('expected finite numbers');
  });
});
