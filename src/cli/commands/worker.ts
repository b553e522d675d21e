import { Command } from 'commander';
import type { BulkTask } from '../../bulk/bulk-task.js';
import { createWorker, WORKER_DEFAULTS } from '../../bulk/create-worker.js';
import { pipelineTask } from '../../bulk/pipeline-task.js';
import { transformerTask } from '../../bulk/transformer-task.js';
import type { Device } from '../../core/device.js';
import { OPTION_TABLE } from '../../generate/option-table.js';
import { pipeline } from '../../tasks/pipeline.js';
import type { TaskName } from '../../tasks/registry.js';
import { loadModel, openDevice } from '../common.js';
import { example } from '../help.js';
import { type QueueFlags, withQueue } from '../job-lines.js';
import { integer } from '../parsers.js';
import { stopping } from '../stopping.js';

interface WorkerFlags extends QueueFlags {
  readonly model: string;
  readonly batchTokens: number;
  readonly linger: number;
  readonly concurrency: number;
  readonly beams: number;
}

/** Milliseconds between two progress lines. */
const TELL_EVERY = 10_000;

export function workerCommand(): Command {
  return withQueue(new Command('worker'))
    .description('process the jobs of a queue in batches, until a signal stops it')
    .requiredOption('--model <model>', 'folder, name or hub id of the model')
    .option('--batch-tokens <n>', 'maximum number of tokens of a batch', integer(1), WORKER_DEFAULTS.batchTokens)
    .option(
      '--linger <ms>',
      'milliseconds that a job waits for others to share its batch',
      integer(0),
      WORKER_DEFAULTS.linger,
    )
    .option(
      '--concurrency <n>',
      'maximum number of jobs that the worker holds; it holds at most two batches',
      integer(1),
      WORKER_DEFAULTS.concurrency,
    )
    .option(
      '--beams <n>',
      'number of hypotheses of beam search, for the task run',
      integer(1),
      OPTION_TABLE.numBeams.default,
    )
    .addHelpText('after', example('worker --queue names --model g2p-en'))
    .action(async (options: WorkerFlags, command: Command) => {
      const { redis, queue, batchTokens, linger, concurrency } = options;
      using stop = stopping();
      using device = await openDevice(command);
      const task = await taskOf(device, options);
      const worker = await createWorker({ redis, queue, task, batchTokens, linger, concurrency });
      let [done, failed] = [0, 0];
      worker.on('completed', () => done++);
      worker.on('failed', () => failed++);
      let lastMessage = '';
      worker.on('error', ({ message }) => {
        if (message !== lastMessage) console.error(`simdformer: ${message}`); // repeated while Redis is unreachable
        lastMessage = message;
      });
      worker.on('ready', () => {
        lastMessage = '';
      });
      const tell = () => console.error(`${done} jobs done${failed > 0 ? `, ${failed} failed` : ''}`);
      const timer = setInterval(tell, TELL_EVERY);
      console.error(`Waiting for jobs of the queue ${queue}.`);
      if (!stop.signal.aborted) await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
      clearInterval(timer);
      console.error('Stopping once the jobs that have begun are done.');
      await worker.close();
      tell();
    });
}

async function taskOf(device: Device, { task, model, beams }: WorkerFlags): Promise<BulkTask<never>> {
  if (task === 'run') return transformerTask(await loadModel(device, model), { numBeams: beams });
  return pipelineTask(await pipeline(task as TaskName, model, { device })) as BulkTask<never>;
}
