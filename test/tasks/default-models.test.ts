// The tables of tasks in the pages have the default models of the code.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { defaultModel, taskNames } from '../../src/tasks/registry.js';

/** Rows of tables whose last column is the default model. */
const rows = ['docs/pipelines.md', 'docs/speech.md'].flatMap((page) =>
  [...readFileSync(page, 'utf8').matchAll(/^\| `([\w-]+)`.*\| (?:`([\w./-]+)` )?\|$/gm)].map(
    ([, task = '', model]) => ({ task, model }),
  ),
);
const tasks = rows.filter(({ task }) => taskNames.some((name) => name === task));

it.each(tasks)('$task', ({ task, model }) => {
  if (model === undefined) expect(() => defaultModel(task)).toThrow('has no default model');
  else expect(defaultModel(task)).toBe(model);
});

it('finds every row', () => expect(tasks).toHaveLength(14));
