import { describe, expect, it } from 'vitest';
import { ArgumentError, CommandError, ShapeError } from '../../src/index.js';
import { gatedDeltaRule, selectiveStateSpace } from '../../src/ops/index.js';
import { describeOp, deviceFor, isas } from '../describe-op.js';
import type { Random } from '../random.js';
import type { Reals } from '../reference/reals.js';

interface Sizes {
  readonly lengths: readonly number[];
  readonly heads: number;
  readonly groups: number;
  readonly keys: number;
  readonly values: number;
}

const rowsOf = (lengths: readonly number[]) => lengths.reduce((sum, length) => sum + length, 0);

const cases: Sizes[] = [
  { lengths: [1], heads: 1, groups: 1, keys: 1, values: 1 },
  { lengths: [5, 2], heads: 2, groups: 1, keys: 3, values: 5 },
  { lengths: [17, 1, 16], heads: 4, groups: 2, keys: 8, values: 16 },
  { lengths: [40], heads: 3, groups: 3, keys: 17, values: 70 },
  { lengths: [33, 3], heads: 2, groups: 2, keys: 5, values: 130 },
];

/** Numbers from `least` to 1. */
function fractions(random: Random, shape: readonly number[], min: number) {
  const { data } = random.normal(shape);
  return { shape, data: data.map((x) => min + (1 - min) / (1 + Math.exp(-x))) };
}

function inputsOf({ lengths, heads, groups, keys, values }: Sizes, random: Random) {
  const rows = rowsOf(lengths);
  const scaled = (cols: number) => {
    const { shape, data } = random.normal([rows, cols]);
    return { shape, data: data.map((x) => x / Math.sqrt(keys)) };
  };
  return {
    q: scaled(groups * keys),
    k: scaled(groups * keys),
    v: random.normal([rows, heads * values]),
    decay: fractions(random, [rows, heads], 0.3),
    beta: fractions(random, [rows, heads], 0),
    lengths: { shape: [lengths.length], data: Int32Array.from(lengths) },
  };
}

/** The recurrence, token by token. */
function recurrence(inputs: Record<'q' | 'k' | 'v' | 'decay', Reals>, beta: Reals | null, sizes: Sizes): Reals {
  const { lengths, heads, groups, keys, values } = sizes;
  const { q, k, v, decay } = inputs;
  const y = new Float64Array(rowsOf(lengths) * heads * values);
  for (let head = 0; head < heads; head++) {
    const group = Math.floor((head * groups) / heads);
    let row = 0;
    for (const length of lengths) {
      const state = new Float64Array(keys * values);
      for (const end = row + length; row < end; row++) {
        const key = (n: number) => k.data[(row * groups + group) * keys + n]!;
        const query = (n: number) => q.data[(row * groups + group) * keys + n]!;
        const kept = decay.data[row * heads + head]!;
        for (let p = 0; p < values; p++) {
          let known = 0;
          for (let n = 0; n < keys; n++) known += kept * state[n * values + p]! * key(n);
          const value = v.data[(row * heads + head) * values + p]!;
          const u = beta ? beta.data[row * heads + head]! * (value - known) : value;
          let result = 0;
          for (let n = 0; n < keys; n++) {
            const next = kept * state[n * values + p]! + key(n) * u;
            state[n * values + p] = next;
            result += next * query(n);
          }
          y[(row * heads + head) * values + p] = result;
        }
      }
    }
  }
  return { shape: [rowsOf(lengths), heads * values], data: y };
}

const tolerance = ({ lengths, heads, keys, values }: Sizes) => Math.max(...lengths) * Math.max(keys, values) * heads;

describeOp({
  name: 'selectiveStateSpace',
  cases,
  inputs: (sizes: Sizes, random) => inputsOf(sizes, random),
  forward: ({ q, k, v, decay, lengths }, { heads, groups }) =>
    selectiveStateSpace({ q, k, v, decay }, { heads, groups, lengths }),
  reference: (arrays, sizes) => recurrence(arrays, null, sizes),
  gradients: ['q', 'k', 'v', 'decay'],
  tolerance,
});

describeOp({
  name: 'gatedDeltaRule',
  cases,
  inputs: (sizes: Sizes, random) => inputsOf(sizes, random),
  forward: ({ q, k, v, decay, beta, lengths }, { heads, groups }) =>
    gatedDeltaRule({ q, k, v, decay, beta }, { heads, groups, lengths }),
  reference: (arrays, sizes) => recurrence(arrays, arrays.beta, sizes),
  gradients: ['q', 'k', 'v', 'decay', 'beta'],
  tolerance,
});

describe.each(isas)('%s', (isa) => {
  it.each(['selectiveStateSpace', 'gatedDeltaRule'])('%s has the same bits for a sequence in pieces', async (name) => {
    const device = await deviceFor(isa, 2);
    const [rows, heads, groups, keys, values] = [23, 4, 2, 9, 21];
    const wave = (cols: number, seed: number, height = 1) =>
      device.tensor(
        Float32Array.from({ length: rows * cols }, (_, i) => height * (0.5 + 0.5 * Math.sin(seed + 3 * i))),
        [rows, cols],
      );
    const all = {
      q: wave(groups * keys, 1),
      k: wave(groups * keys, 2, 0.3),
      v: wave(heads * values, 3),
      decay: wave(heads, 4),
      beta: wave(heads, 5),
    };
    const scan = (part: typeof all, options: object) => {
      const { beta, ...plain } = part;
      const given = { heads, groups, ...options };
      return name === 'gatedDeltaRule' ? gatedDeltaRule(part, given) : selectiveStateSpace(plain, given);
    };
    const ints = (...ids: number[]) => device.tensor(Int32Array.from(ids));
    const whole = scan(all, { lengths: ints(rows) }).dataSync();
    const states = device.full([3, heads * keys * values], Number.NaN);
    const pieces = { states, lengths: ints(1, 1, 9, 2, 10), from: ints(-1, 1, 1, 0, 2), to: ints(1, 1, 0, 2, 2) };
    expect(scan(all, pieces).dataSync()).toEqual(whole);
    for (let row = 0; row < rows; row++) {
      const part = Object.fromEntries(
        Object.entries(all).map(([each, tensor]) => [each, tensor.rows(row, row + 1)]),
      ) as typeof all;
      const y = scan(part, { states, from: ints(row === 0 ? -1 : 1), to: ints(1) }).dataSync();
      expect(y, `row ${row}`).toEqual(whole.slice(row * heads * values, (row + 1) * heads * values));
    }
  });

  it('refuses operands that do not fit', async () => {
    const device = await deviceFor(isa, 1);
    const inputs = {
      q: device.zeros([4, 6]),
      k: device.zeros([4, 6]),
      v: device.zeros([4, 8]),
      decay: device.zeros([4, 2]),
    };
    expect(() => selectiveStateSpace(inputs, { heads: 3 })).toThrow(ShapeError);
    expect(() => selectiveStateSpace(inputs, { heads: 2, groups: 4 })).toThrow(ArgumentError);
    const lengths = device.tensor(Int32Array.of(1, 4));
    expect(() => selectiveStateSpace(inputs, { heads: 2, lengths }).dataSync()).toThrow(CommandError);
  });
});
