// Checks that bulk inference loses nothing, and measures the cost of a queue, on a Redis of its own:
//
//   npx tsx bench/bulk.ts kills [jobs] [kills]    three workers, one of which is killed every few seconds; Redis restarts halfway;
//                                                 how the memory grows of one that is not killed
//   npx tsx bench/bulk.ts share [jobs]            how evenly three workers share a queue, and how their memory grows
//   npx tsx bench/bulk.ts throughput [jobs]       one worker beside the same batches without a queue

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { type Collected, collect, submit, transformerTask } from '../src/bulk/index.js';
import { createDevice, Transformer } from '../src/index.js';
import { Random } from '../src/nn/index.js';
import bundle from '../test/bundle.mjs';

/** The worker is bundled by test/bundle.mjs, because it is started often. */
const WORKER = fileURLToPath(new URL('../build/tests/bench-bulk-worker.js', import.meta.url));
const PORT = 6400 + (process.pid % 1000);
const redis = `redis://127.0.0.1:${PORT}`;
const folder = mkdtempSync(join(tmpdir(), 'simdformer-bulk-'));
/** An input that fails in every attempt. */
const POISON = 'a1b2';

/** Random words of 3 to 8 letters. */
function wordsOf(count: number): string[] {
  const random = new Random(5);
  const letter = () => String.fromCharCode(97 + Math.floor(26 * random.uniform()));
  return Array.from({ length: count }, () =>
    Array.from({ length: 3 + Math.floor(6 * random.uniform()) }, letter).join(''),
  );
}

class Server {
  #process: ChildProcess | undefined;

  async start(): Promise<void> {
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
    this.#process = spawn('redis-server', ['--port', `${PORT}`, '--dir', folder, ...durable], { stdio: 'ignore' });
    const client = new Redis(redis, { retryStrategy: () => 50, maxRetriesPerRequest: null });
    client.on('error', () => {});
    while ((await client.ping().catch(() => '')) !== 'PONG') await sleep(20);
    client.disconnect();
  }

  async stop(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await once(this.#process as ChildProcess, 'close');
  }
}

/** A worker process, and the lines that it prints. */
class BulkWorker {
  readonly process: ChildProcess;
  readonly ready: Promise<unknown>;
  readonly told: { done: number; bytes: number; live: number }[] = [];

  constructor(queue: string, flags: readonly string[] = ['--expose-gc']) {
    this.process = spawn(process.execPath, [...flags, WORKER, redis, queue], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const output = this.process.stdout as NodeJS.ReadableStream;
    this.ready = once(output, 'data');
    output.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) if (line.startsWith('{')) this.told.push(JSON.parse(line));
    });
  }

  async stop(): Promise<number | null> {
    await this.ready;
    this.process.kill('SIGTERM');
    return ((await once(this.process, 'close')) as [number | null])[0];
  }
}

async function countsOf(queue: string) {
  const jobs = new Queue(queue, { connection: { port: PORT } });
  const counts = await jobs.getJobCounts('completed', 'failed', 'waiting', 'active', 'delayed');
  await jobs.close();
  return counts as { completed: number; failed: number; waiting: number; active: number; delayed: number };
}

async function isOpen(queue: string): Promise<boolean> {
  const { waiting, active, delayed } = await countsOf(queue);
  return waiting + active + delayed > 0;
}

/** Growth of a worker's memory after the first tenth of its work: all memory, and memory without garbage. */
function memoryOf({ told }: BulkWorker): string {
  const busy = told.filter((each, i) => each.done !== (told[i - 1]?.done ?? 0));
  const after = busy.filter(({ done }) => done > (told.at(-1)?.done ?? 0) / 10);
  return (['bytes', 'live'] as const)
    .map((name) => {
      const values = after.map((each) => each[name] / 1e6);
      const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
      const share = (each: number) => `${(100 * (each / mean - 1)).toFixed(1)} %`;
      const shown = values.filter((_, i) => i % Math.ceil(values.length / 12) === 0).map((each) => each.toFixed(0));
      return `${name} ${shown.join(' ')} MB, ${share(Math.min(...values))} to ${share(Math.max(...values))} of the mean`;
    })
    .join('; ');
}

/** Results of one process without a queue. */
async function expectedOf(words: readonly string[]): Promise<Collected[]> {
  const device = await createDevice({ threads: 1 });
  const task = transformerTask(await Transformer.load(device, 'models/g2p-en'));
  const results: Collected[] = [];
  for (let at = 0; at < words.length; at += 256)
    for (const result of await task.run(words.slice(at, at + 256))) results.push({ result });
  device.dispose();
  return results;
}

async function kills(jobs = 100_000, count = 50): Promise<void> {
  const queue = 'kills';
  const server = new Server();
  await server.start();
  const words = wordsOf(jobs);
  const poisoned = Math.floor(jobs / 3);
  const inputs: unknown[] = [...words];
  inputs[poisoned] = { [POISON]: 1 };
  await submit(inputs, { redis, queue });
  console.log(`${jobs} jobs are in the queue`);
  const workers = [new BulkWorker(queue), new BulkWorker(queue), new BulkWorker(queue)];
  await Promise.all(workers.map(({ ready }) => ready));
  const random = new Random(9);
  for (let kill = 1; kill <= count; kill++) {
    const due = (kill / (count + 1)) * jobs; // kills are spread over all jobs
    while ((await countsOf(queue)).completed < due) await sleep(100 * random.uniform());
    const [victim] = workers.splice(1, 1) as [BulkWorker]; // the worker that has worked longer, but not the first
    await victim.ready; // a worker that has not begun would lose nothing
    victim.process.kill('SIGKILL');
    workers.push(new BulkWorker(queue));
    if (kill === Math.ceil(count / 2)) {
      await server.stop();
      await sleep(500);
      await server.start();
      console.log('Redis was killed, and is back');
    }
    if (kill % 10 === 0) console.log(`${kill} kills: ${JSON.stringify(await countsOf(queue))}`);
  }
  while (await isOpen(queue)) await sleep(500);
  console.log(`of the worker that was not killed: ${memoryOf(workers[0] as BulkWorker)}`);
  let [at, wrong] = [0, 0];
  const expected = await expectedOf(words);
  for await (const each of collect(inputs, { redis, queue })) {
    const isRight = at === poisoned ? 'error' in each : JSON.stringify(each) === JSON.stringify(expected[at]);
    if (!isRight) wrong++;
    at++;
  }
  const counts = await countsOf(queue);
  const codes = await Promise.all(workers.map((worker) => worker.stop()));
  await server.stop();
  console.log(JSON.stringify({ jobs: at, kills: count, wrong, counts, exitCodesAtSIGTERM: codes }));
  if (wrong > 0 || at !== jobs || counts.completed !== jobs - 1 || counts.failed !== 1) process.exitCode = 1;
}

async function share(jobs = 30_000): Promise<void> {
  const queue = 'share';
  const server = new Server();
  await server.start();
  const workers = [new BulkWorker(queue), new BulkWorker(queue), new BulkWorker(queue)];
  await Promise.all(workers.map(({ ready }) => ready));
  await submit(wordsOf(jobs), { redis, queue });
  while (await isOpen(queue)) await sleep(500);
  await Promise.all(workers.map((worker) => worker.stop()));
  await server.stop();
  const done = workers.map(({ told }) => told.at(-1)?.done ?? 0);
  console.log(`done by each: ${done.join(', ')}; most / least ${(Math.max(...done) / Math.min(...done)).toFixed(3)}`);
  for (const worker of workers) console.log(memoryOf(worker));
}

async function throughput(jobs = 20_000): Promise<void> {
  const queue = 'throughput';
  const words = wordsOf(jobs);
  const device = await createDevice({ threads: 1 });
  const task = transformerTask(await Transformer.load(device, 'models/g2p-en'));
  await task.run(words.slice(0, 256));
  const start = performance.now();
  let batch: string[] = [];
  let cost = 0;
  for (const word of words) {
    const next = task.cost(word);
    if (cost + next > 2048 || batch.length === 256) {
      await task.run(batch);
      [batch, cost] = [[], 0];
    }
    batch.push(word);
    cost += next;
  }
  await task.run(batch);
  const alone = jobs / ((performance.now() - start) / 1000);
  device.dispose();
  const server = new Server();
  await server.start();
  await submit(words, { redis, queue });
  const worker = new BulkWorker(queue, []);
  const counts = new Queue(queue, { connection: { port: PORT } });
  const reached = async (share: number): Promise<{ done: number; at: number }> => {
    for (;;) {
      const done = await counts.getCompletedCount();
      if (done >= share * jobs) return { done, at: performance.now() / 1000 };
      await sleep(20);
    }
  };
  // The first jobs are taken one by one, and the last batches are not full, so only the middle is measured.
  const [from, to] = [await reached(0.2), await reached(0.9)];
  const queued = (to.done - from.done) / (to.at - from.at);
  await reached(1);
  await counts.close();
  await worker.stop();
  await server.stop();
  const share = (queued / alone).toFixed(3);
  console.log(`jobs/s: ${alone.toFixed(0)} without a queue, ${queued.toFixed(0)} with one (${share}×)`);
}

const [what = 'kills', ...numbers] = process.argv.slice(2);
const phases = { kills, share, throughput } as Record<string, (...numbers: number[]) => Promise<void>>;
if (import.meta.url === pathToFileURL(process.argv[1] as string).href) {
  const phase = phases[what];
  if (phase === undefined) throw new Error(`bulk: there is no ${what}: ${Object.keys(phases).join(', ')}`);
  try {
    await bundle();
    await phase(...numbers.map(Number));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
