// Attention within windows with global tokens: what it costs, and that other sequences of a batch change nothing.
import { expect, it } from 'vitest';
import { Initializer, Random, Sequences } from '../../src/nn/index.js';
import { GlobalSequences, LocalGlobalAttention } from '../../src/nn/local-global-attention.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas[0] as string, 2);
const [dModel, heads, window] = [8, 2, 5];
const attention = new LocalGlobalAttention(new Initializer(device, 3), { dModel, heads, window });

function inputOf(rows: number, seed: number) {
  const random = new Random(seed, 0);
  return device.tensor(
    Float32Array.from({ length: rows * dModel }, () => random.normal()),
    [rows, dModel],
  );
}

it('gives each sequence the same bits as without the others', () => {
  const counts = [23, 4, 11];
  const globals = [[0, 9], [], [3]];
  const parts = counts.map((count, i) => inputOf(count, i));
  const x = device.tensor(Float32Array.from(parts.flatMap((part) => Array.from(part.dataSync()))), [38, dModel]);
  const whole = attention.forward(x, new GlobalSequences(Sequences.of(device, counts), globals)).dataSync();
  let first = 0;
  for (const [i, count] of counts.entries()) {
    const alone = new GlobalSequences(Sequences.of(device, [count]), [globals[i] as number[]]);
    const part = attention.forward(parts[i]!, alone).dataSync();
    expect(whole.subarray(first, first + part.length)).toEqual(part);
    first += part.length;
  }
});

it('attends only to the window and to global tokens', () => {
  const rows = 40;
  const result = (changed: number | null, globals: number[]) => {
    const values = inputOf(rows, 7).dataSync() as Float32Array;
    if (changed !== null) values.fill(3, changed * dModel, (changed + 1) * dModel);
    const batch = new GlobalSequences(Sequences.of(device, [rows]), [globals]);
    return attention.forward(device.tensor(values, [rows, dModel]), batch).dataSync();
  };
  const changedRows = (globals: number[]) => {
    const [before, after] = [result(null, globals), result(20, globals)];
    return Array.from({ length: rows }, (_, row) => row).filter((row) =>
      before.subarray(row * dModel, (row + 1) * dModel).some((value, i) => value !== after[row * dModel + i]),
    );
  };
  const near = Array.from({ length: 2 * window - 1 }, (_, i) => 20 - window + 1 + i);
  expect(changedRows([])).toEqual(near);
  expect(changedRows([2])).toEqual([2, ...near]);
  expect(changedRows([20])).toHaveLength(rows);
});

it('needs memory in proportion to the length', () => {
  const cost = (rows: number) =>
    device.noGrad(() =>
      device.scope(() => {
        const [x, batch] = [inputOf(rows, 1), Sequences.of(device, [rows])];
        device.resetPeak();
        const { used } = device.memory();
        attention.forward(x, batch).dataSync();
        return device.memory().peak - used;
      }),
    );
  const long = cost(4096);
  expect(long).toBeLessThan(5 * cost(1024)); // one number for each pair of tokens would take 16 times as much
  expect(long).toBeLessThan(4096 * 4096 * 4);
});
