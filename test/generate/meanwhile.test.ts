// Changes of arrays and options after the call do not affect a running generation.
import { expect, it } from 'vitest';
import type { GenerateOptions } from '../../src/index.js';
import { decoderOnly, device, inputs, makeModel } from './small-model.js';

const copy = () => inputs.map((row) => [...row]);
const spoil = (rows: number[][]) => {
  rows.pop();
  rows[0]![0] = 10;
  rows[1]!.push(4, 4);
};

it('generate and stream use the inputs and options at the time of the call', async () => {
  const model = makeModel();
  const options = () => ({ maxNewTokens: 5, prefix: [3, 4], stopTokens: [2], logitsProcessors: [] }) as GenerateOptions;
  const expected = await model.generate(inputs, options());
  for (const way of ['generate', 'stream'] as const) {
    const [rows, given] = [copy(), options()];
    const steps = way === 'stream' ? model.stream(rows, given) : null;
    const result = model.generate(rows, given);
    spoil(rows);
    given.maxNewTokens = 1;
    (given.prefix as number[])[0] = 9;
    (given.stopTokens as number[]).push(3, 4, 5, 6, 7);
    (given.logitsProcessors as unknown[]).push((scores: Float32Array) => scores.fill(0));
    if (steps === null) expect(await result).toEqual(expected);
    else {
      let step = await steps.next();
      while (!step.done) step = await steps.next();
      expect(step.value).toEqual(expected);
      await result;
    }
  }
  model.dispose();
});

it('also for packed and typed inputs', async () => {
  const model = makeModel(decoderOnly);
  const expected = await model.generate(inputs, { maxNewTokens: 3 });
  const typed = inputs.map((row) => Int32Array.from(row));
  const ofTyped = model.generate(typed, { maxNewTokens: 3 });
  typed[0]!.fill(4);
  expect(await ofTyped).toEqual(expected);
  for (const asTensor of [false, true]) {
    const ids = inputs.flat();
    const lengths = inputs.map(({ length }) => length);
    const packed = { ids: asTensor ? device.tensor(Int32Array.from(ids)) : ids, lengths };
    const result = model.generate(packed, { maxNewTokens: 3 });
    lengths.reverse();
    ids.fill(4);
    expect(await result).toEqual(expected);
  }
  model.dispose();
});

it('also for sources and targets of score', async () => {
  const model = makeModel();
  const targets = () => [
    [1, 3, 4, 2],
    [1, 5, 2],
    [1, 2],
  ];
  const expected = await model.score(inputs, targets());
  const [rows, labels] = [copy(), targets()];
  const result = model.score(rows, labels);
  spoil(rows);
  spoil(labels);
  expect(await result).toEqual(expected);
  const [first, second] = [inputs, [[1, 3]]].map((given) => {
    const width = Math.max(...given.map(({ length }) => length));
    const padded = given.flatMap((row) => [...row, ...Array(width - row.length).fill(0)]);
    return device.tensor(Int32Array.from(padded), [given.length, width]);
  });
  const ofTensors = model.score(first!.rows(0, 1), second!);
  const before = await model.score(inputs.slice(0, 1), [[1, 3]]);
  second!.write(Int32Array.of(1, 5));
  expect(await ofTensors).toEqual(before);
  model.dispose();
});
