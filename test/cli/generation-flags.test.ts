import { Command } from 'commander';
import { expect, it } from 'vitest';
import { addGenerationFlags, generationFlags } from '../../src/cli/generation-flags.js';
import { simdformer } from './run-cli.js';

const parsed = (...args: string[]) => {
  const command = addGenerationFlags(new Command().option('--sample')).parse(args, { from: 'user' });
  return { sample: command.opts().sample, flags: generationFlags(command.opts()) };
};

it('flags of sampling imply --sample', () => {
  expect(parsed('--top-k', '3')).toEqual({ sample: true, flags: { topK: 3 } });
  expect(parsed('--repetition-penalty', '1.5')).toEqual({ sample: undefined, flags: { repetitionPenalty: 1.5 } });
});

it('a temperature of 0 chooses the most probable tokens', async () => {
  const { flags } = parsed('--temperature', '0', '--top-k', '3', '--repetition-penalty', '1.5');
  expect(flags).toEqual({ repetitionPenalty: 1.5, doSample: false });
  const run = (...args: string[]) =>
    simdformer(['run', 'test/data/checkpoints/tinystories-656k', 'Tom had a', '--max-tokens', '8', ...args]);
  const greedy = await run();
  expect(greedy.code, greedy.stderr).toBe(0);
  expect(await run('--temperature', '0', '--top-p', '0.9', '--sample', '--seed', '5')).toEqual(greedy);
  expect(await run('--temperature', '0', '--n-best', '2')).toEqual(await run('--n-best', '2'));
  expect((await run('--temperature', '-1')).stderr).toContain('Expected a number, 0 or more.');
});

it('run refuses a text that leaves no room, and continues the other lines to their end', async () => {
  const run = (args: string[], input = '') =>
    simdformer(['run', 'test/data/checkpoints/tinystories-656k', ...args], { input });
  const [fitting, long] = [130, 300].map((n) => 'Tom had a red ball. '.repeat(n)) as [string, string];
  const alone = await run(['Tom had a']);
  const { code, stdout, stderr } = await run([], `${long}\nTom had a\n${fitting}`);
  expect([code, stdout.startsWith(alone.stdout)]).toEqual([1, true]);
  expect(stderr).toMatch(/line 1 is left out: it has \d+ tokens, but the model's maxLength is 512: shorten it\n$/);
  const more = await run([fitting, '--max-tokens', '200']);
  expect(more.stderr).toMatch(
    /the text has \d+ tokens, and --max-tokens is 200, but .* 512: shorten it, or lower --max/,
  );
});
