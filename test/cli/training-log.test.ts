import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TrainingLog } from '../../src/cli/training-log.js';
import { temporaryFolder } from './run-cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

it('has the last validation once, though its run was killed before it ended', async () => {
  const path = folder.at('log.jsonl');
  const fail = () => expect.unreachable();
  const validation = { step: 3, metrics: { wordError: 0.5 } };
  const killed = new TrainingLog(path, fail);
  for (const step of [1, 2, 3]) {
    killed.onStep({ step, steps: 3, epoch: 0, loss: 1 / step, learningRate: 0.1, tokens: 1, examples: 1, seconds: 1 });
  }
  killed.onValidation(validation);
  const text = await readFile(path, 'utf8');
  const resumed = new TrainingLog(path, fail); // from the checkpoint of step 3
  resumed.onValidation(validation);
  expect(await readFile(path, 'utf8')).toBe(text);
  expect(resumed.curves()).toBe(killed.curves());
});
