import { expect, it } from 'vitest';
import { atOnce, inSlices, sortedInParts } from '../../src/core/slices.js';
import { Random } from '../random.js';

it('sorts like a stable sort, in parts', async () => {
  const random = new Random('slices');
  for (const count of [0, 1, 1023, 1024, 1025, 50_000]) {
    const values = Array.from({ length: count }, (_, id) => ({ key: Math.floor(random.next() * 1000), id }));
    const expected = values.toSorted((a, b) => a.key - b.key);
    const work = () => sortedInParts(values, (a, b) => a.key < b.key);
    expect(atOnce(work())).toEqual(expected);
    expect(await inSlices(work())).toEqual(expected);
    expect([...work()].length).toBeGreaterThanOrEqual(Math.ceil(count / 1024));
  }
});

it('compares few values between two pauses', () => {
  const random = new Random('comparisons');
  const values = Array.from({ length: 50_000 }, () => random.next());
  let [compared, max] = [0, 0];
  const isBefore = (a: number, b: number) => {
    compared++;
    return a < b;
  };
  for (const _ of sortedInParts(values, isBefore)) [compared, max] = [0, Math.max(max, compared)];
  expect(Math.max(max, compared)).toBeLessThanOrEqual(5000);
});
