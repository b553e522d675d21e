// Metrics, compared with the numbers of sacrebleu, scikit-learn, SciPy and seqeval (make_metrics.py).
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/index.js';
import * as metrics from '../../src/metrics/index.js';
import {
  accuracy,
  bleu,
  chrf,
  entityScores,
  f1,
  matthews,
  pearson,
  perplexity,
  spearman,
  wer,
} from '../../src/metrics/index.js';

const expected = JSON.parse(readFileSync(new URL('metrics.json', import.meta.url), 'utf8'));

const numbersOf = (cases: readonly unknown[]): number[] => cases.map((_, i) => i);

describe('metrics', () => {
  it.each(numbersOf(expected.classification))('of labels, %i', (i) => {
    const { predictions, references, ...wanted } = expected.classification[i];
    expect(accuracy(predictions, references)).toBeCloseTo(wanted.accuracy, 12);
    expect(matthews(predictions, references)).toBeCloseTo(wanted.matthews, 12);
    for (const [average, scores] of Object.entries(wanted.f1) as ['macro', Record<string, number>][]) {
      const own = f1(predictions, references, { average });
      for (const [name, value] of Object.entries(scores)) expect(own[name as 'f1'], average).toBeCloseTo(value, 12);
    }
  });

  it.each(numbersOf(expected.correlation))('of numbers, %i', (i) => {
    const { predictions, references, ...wanted } = expected.correlation[i];
    expect(pearson(predictions, references)).toBeCloseTo(wanted.pearson, 12);
    expect(spearman(predictions, references)).toBeCloseTo(wanted.spearman, 12);
  });

  it.each(numbersOf(expected.texts))('of texts, %i', (i) => {
    const { outputs, references, ...wanted } = expected.texts[i];
    const own = bleu(outputs, references);
    expect(own.score).toBeCloseTo(wanted.bleu, 9);
    expect(own.brevityPenalty).toBeCloseTo(wanted.brevityPenalty, 12);
    for (const [n, precision] of wanted.precisions.entries()) expect(own.precisions[n]!).toBeCloseTo(precision, 9);
    expect(bleu(outputs, references, { lowercase: true }).score).toBeCloseTo(wanted.bleuLower, 9);
    expect(bleu(outputs, references, { tokenize: 'none' }).score).toBeCloseTo(wanted.bleuNone, 9);
    expect(chrf(outputs, references)).toBeCloseTo(wanted.chrf, 9);
    expect(chrf(outputs, references, { wordOrder: 2 })).toBeCloseTo(wanted.chrfPlusPlus, 9);
  });

  it.each(numbersOf(expected.hard))('of numbers that are NaN, constant, huge or tiny, %i', (i) => {
    const { sides, ...wanted } = expected.hard[i];
    const number = (value: number | string) =>
      typeof value === 'number' ? value : Number(value.replace('inf', 'Infinity'));
    const [predictions, references] = sides.map((side: (number | string)[]) => side.map(number));
    for (const [name, correlation] of Object.entries({ pearson, spearman })) {
      const [own, value] = [correlation(predictions, references), number(wanted[name])];
      if (Number.isNaN(value)) expect(own, name).toBeNaN();
      else expect(own, name).toBeCloseTo(value, 12);
    }
  });

  it.each(numbersOf(expected.spaced))("of texts with Python's white space, %i", (i) => {
    const { outputs, references, ...wanted } = expected.spaced[i];
    expect(bleu(outputs, references).score).toBeCloseTo(wanted.bleu, 9);
    expect(bleu(outputs, references, { tokenize: 'none' }).score).toBeCloseTo(wanted.bleuNone, 9);
    expect(chrf(outputs, references)).toBeCloseTo(wanted.chrf, 9);
    expect(chrf(outputs, references, { wordOrder: 2 })).toBeCloseTo(wanted.chrfPlusPlus, 9);
    expect(wer(['a\u0085b c\ufeffd'], ['a b c d'])).toBe(2 / 4); // one deletion, one substitution
  });

  it.each(numbersOf(expected.entities))('of entities, %i', (i) => {
    const { predictions, references, ...wanted } = expected.entities[i];
    const own = entityScores(predictions, references);
    for (const [name, value] of Object.entries(wanted) as ['f1', number | null][])
      if (value !== null) expect(own[name], name).toBeCloseTo(value, 12);
  });

  it('of words, tokens and entities', () => {
    expect(wer(['the cat sat', 'a b c'], ['the cat sat down', 'a x c'])).toBeCloseTo(2 / 7, 12);
    expect(perplexity([Math.log(2), Math.log(8)])).toBeCloseTo(4, 12);
    expect(perplexity([Math.log(2), Math.log(8)], [3, 1])).toBeCloseTo(2 ** 1.5, 12);
    const references = [
      ['B-PER', 'I-PER', 'O', 'B-LOC'],
      ['O', 'B-ORG'],
    ];
    const predictions = [
      ['B-PER', 'I-PER', 'O', 'B-ORG'],
      ['B-LOC', 'B-ORG'],
    ];
    expect(entityScores(predictions, references)).toEqual({ precision: 2 / 4, recall: 2 / 3, f1: 4 / 7 });
    expect(entityScores(references, references).f1).toBe(1);
  });

  it('refuse unequal numbers of outputs and references', () => {
    expect(() => accuracy([1], [1, 2])).toThrow(ArgumentError);
    expect(() => bleu([], [])).toThrow(ArgumentError);
  });

  const wrong = [undefined, null, 5, 'text', {}, [null], [undefined, 1], [{}], [[[{}]]]];
  const right: Record<keyof typeof metrics, unknown> = {
    accuracy: [1],
    f1: ['a'],
    matthews: [1],
    pearson: [1],
    spearman: Float64Array.of(1),
    meanSquaredError: [1],
    bleu: ['a b'],
    chrf: ['a b'],
    wer: ['a b'],
    entityScores: [['O']],
    perplexity: [1],
    editDistance: ['a'],
    detectionScores: [[{ label: 'a', score: 1, box: { xmin: 0, ymin: 0, xmax: 1, ymax: 1 } }]],
  };
  it.each(Object.entries(metrics))('refuse values of another type by their names: %s', (name, metric) => {
    const call = metric as (...values: unknown[]) => unknown;
    const own = right[name as keyof typeof right];
    call(own, own);
    const isLoose = name === 'editDistance'; // it compares items of any type
    for (const value of wrong.filter((each) => !isLoose || !(Array.isArray(each) || typeof each === 'string')))
      for (const values of [
        [value, own],
        [own, value],
      ]) {
        if (name === 'perplexity' && values[1] === undefined) continue; // its weights may be left out
        expect(() => call(...values)).toThrow(ArgumentError);
        expect(() => call(...values)).toThrow(new RegExp(`^${name}: .* is .*, expected `));
      }
  });
});
