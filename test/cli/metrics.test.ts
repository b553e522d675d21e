import { describe, expect, it } from 'vitest';
import { errorRates } from '../../src/cli/metrics.js';
import { editDistance } from '../../src/metrics/index.js';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['', 'abc', 3],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
    ['flaw', 'lawn', 2],
    ['abc', 'abc', 0],
  ])('%j to %j: %i', (a, b, edits) => expect(editDistance([...a], [...b])).toBe(edits));

  it('compares whole tokens', () => expect(editDistance(['HH', 'AH'], ['HH', 'A', 'H'])).toBe(2));
});

describe('errorRates', () => {
  it('uses the nearest reference, and counts its tokens', () => {
    const rates = errorRates(
      [
        ['A', 'B'],
        ['A', 'X', 'C'],
      ],
      [
        [['Z'], ['A', 'B']],
        [
          ['Y', 'Y', 'Y', 'Y'],
          ['A', 'B', 'C'],
        ],
      ],
    );
    expect(rates).toEqual({ count: 2, wordError: 1 / 2, tokenError: 1 / 5 });
  });

  it('counts an empty output as all of its reference', () => {
    expect(errorRates([[]], [[['A', 'B']]])).toEqual({ count: 1, wordError: 1, tokenError: 1 });
  });
});
