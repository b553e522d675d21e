import { Command } from 'commander';
import { ATTEMPTS, submit } from '../../bulk/submit.js';
import { EXIT } from '../exit.js';
import { example } from '../help.js';
import { type QueueFlags, readInputs, withQueue } from '../job-lines.js';
import { checkReadable } from '../lines.js';
import { integer } from '../parsers.js';
import { stopping } from '../stopping.js';

interface SubmitFlags extends QueueFlags {
  readonly attempts: number;
  readonly backoff: number;
}

export function submitCommand(): Command {
  return withQueue(new Command('submit'))
    .description('add a job to a queue for each line of a file; a second run adds only missing jobs')
    .argument('<file>', 'file of JSON lines: each a text, or an object with `input` or `text`')
    .option(
      '--attempts <n>',
      'number of attempts for a job that fails, unless its input is invalid',
      integer(1),
      ATTEMPTS,
    )
    .option(
      '--backoff <ms>',
      'milliseconds before the second attempt, doubled before each further one',
      integer(0),
      1000,
    )
    .addHelpText('after', example('submit words.jsonl --queue names'))
    .action(async (file: string, { redis, queue, task, attempts, backoff }: SubmitFlags) => {
      await checkReadable([file]);
      using stop = stopping();
      const { signal } = stop;
      const onProgress = (count: number) => console.error(`${count} submitted`);
      try {
        const job = { backoff: { type: 'exponential', delay: backoff } };
        const count = await submit(readInputs(file), { redis, queue, task, attempts, job, signal, onProgress });
        console.log(`${count} jobs are in the queue ${queue}: \`simdformer collect ${file} --queue ${queue}\``);
      } catch (error) {
        if (!signal.aborted) throw error;
        console.error('Stopped; the same command goes on.');
        process.exitCode = EXIT[stop.by ?? 'SIGINT'];
      }
    });
}
