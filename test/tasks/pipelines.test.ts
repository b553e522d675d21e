// Pipelines beside transformers' own, on models of test/data/families: see make_pipelines.py.
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { pipeline, type TaskName } from '../../src/tasks/index.js';
import answers from './answers.json' with { type: 'json' };
import pipelines from './pipelines.json' with { type: 'json' };
import { smallModel } from './small-model.js';

interface Case {
  readonly task: TaskName;
  readonly model: string;
  readonly changes: object;
  readonly args: readonly unknown[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly out: unknown;
}

const cases = [...pipelines.cases, ...answers.cases] as unknown as Case[];
const device = await createDevice();
afterAll(() => device.dispose());

type Called = (...args: unknown[]) => Promise<unknown>;

/** Numbers agree as float32 arithmetic lets them, all else exactly. What only one side says is not compared. */
function expectAlike(actual: unknown, expected: unknown, path = 'result'): void {
  if (typeof expected === 'number' && typeof actual === 'number') {
    expect(Math.abs(actual - expected), `${path}: ${actual}, expected ${expected}`).toBeLessThan(2e-5);
  } else if (Array.isArray(expected)) {
    expect(actual, path).toHaveLength(expected.length);
    for (const [i, each] of expected.entries()) expectAlike((actual as unknown[])[i], each, `${path}[${i}]`);
  } else if (typeof expected === 'object' && expected !== null) {
    for (const [name, each] of Object.entries(expected))
      expectAlike((actual as Record<string, unknown>)[name], each, `${path}.${name}`);
  } else expect(actual, path).toBe(expected);
}

/** Results of transformers, in the form of transformers.js. */
function expectedOf({ task, options, out, args }: Case): unknown {
  if (task === 'text-classification' && options.top_k === 1) return (out as unknown[]).flat();
  if (task === 'fill-mask' && Array.isArray(args[0]) && args[0].length === 1) return [out];
  if (task !== 'token-classification' || options.aggregation_strategy !== 'none') return out;
  // Tokens by themselves are decoded, where transformers gives them as they are in the vocabulary.
  return (out as Record<string, unknown>[][]).map((list) => list.map(({ word: _, ...rest }) => rest));
}

describe('pipelines', () => {
  describe.each([...new Set(cases.map(({ task }) => task))])('%s', (task) => {
    const own = cases.filter((each) => each.task === task);
    it.each(own.map((each) => [`${each.model} ${JSON.stringify(each.options)}`, each] as const))(
      'is as transformers has it: %s',
      async (_, each) => {
        await using pipe = await pipeline(each.task, smallModel(each.model, each.changes), { device });
        const { truncation: _always, ...options } = each.options;
        const call = pipe as unknown as Called;
        expectAlike(await call(...each.args, options), expectedOf(each));
      },
    );
  });
});
