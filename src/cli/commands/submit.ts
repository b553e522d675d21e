import { Command } from 'commander';
import { submit } from '../../bulk/submit.js';
import { EXIT } from '../exit.js';
import { type QueueFlags, readInputs, withQueue } from '../job-lines.js';
import { integer } from '../parsers.js';
import { stopping } from '../stopping.js';

export function submitCommand(): Command {
  return withQueue(new Command('submit'))
    .description('add a job for each line of a file to a queue; again, only for those that are not there')
    .argument('<file>', 'JSON lines: an input each, or objects with input or text')
    .option('--attempts <n>', 'how often a job is tried that fails for no fault of its input', integer(1), 3)
    .action(async (file: string, { redis, queue, task, attempts }: QueueFlags & { attempts: number }) => {
      using stop = stopping();
      const { signal } = stop;
      const onProgress = (count: number) => console.error(`${count} submitted`);
      try {
        const count = await submit(readInputs(file), { redis, queue, task, attempts, signal, onProgress });
        console.log(`${count} jobs are in the queue ${queue}: \`simdformer collect ${file} --queue ${queue}\``);
      } catch (error) {
        if (!signal.aborted) throw error;
        console.error('Stopped; the same command goes on.');
        process.exitCode = EXIT[stop.by ?? 'SIGINT'];
      }
    });
}
