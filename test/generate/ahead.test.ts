// Several steps without a way back to JavaScript, and choosing by the best tokens alone: the same as step by step, by
// all logits.

import { describe, expect, it } from 'vitest';
import type { GenerateOptions } from '../../src/index.js';
import { expectClose, inputs, kinds, makeModel } from './small-model.js';

/** Makes generation look at all logits of each step. */
const logitsProcessors = [() => {}];

const many: GenerateOptions[] = [
  {},
  { stopTokens: [] },
  { minNewTokens: 6 },
  { stopTokens: [2, 3, 4, 5], minNewTokens: 3 },
  { prefix: [[4], [], [5, 6, 7]], minNewTokens: 5 },
  { maxNewTokens: 3 },
];

describe.each(Object.entries(kinds))('%s', (_, kind) => {
  it.each(many)('greedy, %o', async (options) => {
    const model = makeModel(kind);
    const expected = await model.generate(inputs, { ...options, logitsProcessors });
    // Later ones go further ahead.
    for (let i = 0; i < 4; i++) expect(await model.generate(inputs, options)).toEqual(expected);
    model.dispose();
  });

  it.each(many)('beams, %o', async (options) => {
    const model = makeModel(kind);
    const beams = { ...options, numBeams: 2, numReturnSequences: 2 };
    const expected = await model.generate(inputs, { ...beams, logitsProcessors });
    const actual = await model.generate(inputs, beams);
    expect(actual.sequences).toEqual(expected.sequences);
    expect(actual.finishReasons).toEqual(expected.finishReasons);
    expectClose(actual.scores, expected.scores);
    model.dispose();
  });
});

it('does not yield tokens after the signal, even if they were computed', async () => {
  const model = makeModel();
  for (let i = 0; i < 4; i++) {
    const controller = new AbortController();
    const tokens: number[] = [];
    const onToken = ({ token }: { token: number }) => {
      if (tokens.push(token) === 3) controller.abort(new Error('enough'));
    };
    const options = { stopTokens: [], signal: controller.signal, onToken };
    await expect(model.generate([inputs[0]!], options)).rejects.toThrow('enough');
    expect(tokens.length).toBe(3);
  }
  model.dispose();
});

it('reports that no token can be chosen', async () => {
  const model = makeModel();
  const all = Array.from({ length: model.config.targetVocab }, (_, token) => token);
  for (const numBeams of [1, 2]) {
    const options = { numBeams, stopTokens: all.slice(0, numBeams === 1 ? 11 : 4), minNewTokens: 2 };
    if (numBeams === 1) await expect(model.generate(inputs, options)).rejects.toThrow('every token is forbidden');
    else expect((await model.generate(inputs, options)).sequences.flat()).not.toContain(3);
  }
  const { weight } = model.generator;
  weight.write(weight.dataSync().fill(Number.NaN) as Float32Array);
  for (const numBeams of [1, 2])
    await expect(model.generate(inputs, { numBeams })).rejects.toThrow('some scores are NaN');
  model.dispose();
});
