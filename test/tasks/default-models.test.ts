// The tables of tasks in the pages have the default models of the code.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { defaultModel } from '../../src/tasks/registry.js';

const rows = [...readFileSync('docs/pipelines.md', 'utf8').matchAll(/^\| `([\w-]+)`.*\| (?:`([\w./-]+)` )?\|$/gm)];
const tasks = rows.slice(0, 10).map(([, task = '', model]) => ({ task, model }));

it.each(tasks)('$task', ({ task, model }) => {
  if (model === undefined) expect(() => defaultModel(task)).toThrow('has no default model');
  else expect(defaultModel(task)).toBe(model);
});

it('finds every row', () => expect(tasks.map(({ task }) => task).at(-1)).toBe('text2text-generation'));
