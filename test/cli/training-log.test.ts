import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TrainingLog } from '../../src/cli/training-log.js';
import { temporaryFolder } from './run-cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

const stepped = (step: number) => ({ step, loss: 1 / step, ...REST });
const REST = { steps: 3, epoch: 0, learningRate: 0.1, tokens: 1, examples: 1, seconds: 1 };

describe('a log', () => {
  it('has the last validation once, even if its run was killed before its end', async () => {
    const path = folder.at('log.jsonl');
    const fail = () => expect.unreachable();
    const validation = { step: 3, metrics: { wordError: 0.5 } };
    const killed = new TrainingLog(path, fail);
    for (const step of [1, 2, 3]) killed.onStep(stepped(step));
    killed.onValidation(validation);
    const text = await readFile(path, 'utf8');
    const resumed = new TrainingLog(path, fail); // from the checkpoint of step 3
    resumed.onValidation(validation);
    expect(await readFile(path, 'utf8')).toBe(text);
    expect(resumed.curves()).toBe(killed.curves());
  });

  it.each<[string, (lines: string[]) => string[]]>([
    ['that was cut short', ([first, second]) => [first!, second!.slice(0, 9)]],
    ['that was cut before the end of a line', ([first, second]) => [first!, second!.trimEnd()]],
    ['from Windows', (lines) => lines.map((line) => line.replace('\n', '\r\n'))],
    [
      'with lines that are none of its own',
      ([first, second]) => [first!, 'null\n', '{"step":2,"metrics":5}\n', second!],
    ],
  ])('%s continues after its last complete line', async (_, damage) => {
    const path = folder.at('damaged.jsonl');
    const fail = () => expect.unreachable();
    const before = new TrainingLog(path, fail);
    for (const step of [1, 2]) before.onStep(stepped(step));
    const lines = (await readFile(path, 'utf8')).split(/(?<=\n)/);
    const damaged = damage(lines);
    await writeFile(path, damaged.join(''));
    const resumed = new TrainingLog(path, fail);
    resumed.onStep(stepped(3));
    const kept = damaged.filter((line) => line.endsWith('\n'));
    expect(await readFile(path, 'utf8')).toBe(
      [...kept, lines[1]!.replace('2', '3').replace('0.5', `${1 / 3}`)].join(''),
    );
    expect(resumed.curves()).toContain('training loss');
  });
});
