// Eight worker threads train, generate, embed, load and free models for a long time. No job may fail, and equal jobs
// must give equal bits. No tensor may stay. After the first tenth, the memory of the process must stay constant.
//
//     [SOAK_SECONDS=600] npm run bench -- soak-workers

import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { Random } from '../src/nn/index.js';
import type { Bench, Run } from './harness/bench.js';
import { BenchError } from './harness/error.js';
import { OURS } from './harness/ours.js';
import { summarize } from './harness/statistics.js';
import { names } from './soak/jobs.js';

const WORKERS = 8;
/** Seconds between two measurements of the memory, during which workers rest. */
const EVERY = 30;

export default {
  question: `Do ${WORKERS} workers do their jobs for a long time without an error, and does the memory stay flat?`,
  async run(run) {
    const seconds = run.options.quick ? 60 : Number(process.env.SOAK_SECONDS ?? 600);
    const what = `${WORKERS} workers, ${seconds} s`;
    if (run.wants(what)) await soak(run, what, seconds);
  },
} satisfies Bench;

/** One thread of work, and the results that it has seen. */
class Soaker {
  readonly #worker: Worker;
  readonly #random: Random;

  constructor(
    index: number,
    readonly backend: 'native' | 'wasm',
  ) {
    this.#worker = new Worker(new URL('soak/worker.mjs', import.meta.url), { workerData: { threads: 1, backend } });
    this.#random = new Random(index);
  }

  async ready(): Promise<void> {
    await this.#answer();
  }

  async ask<T>(ask: string, question: object = {}): Promise<T> {
    this.#worker.postMessage({ ask, ...question });
    return this.#answer();
  }

  async #answer<T>(): Promise<T> {
    const [{ answer, error }] = await once(this.#worker, 'message');
    if (error) throw new BenchError(error);
    return answer;
  }

  /** Runs random jobs until `end`. */
  async work(end: number, done: (name: string, hash: string) => void): Promise<void> {
    while (performance.now() < end) {
      const name = names[this.#random.below(names.length)] as string;
      done(name, await this.ask<string>('run', { name }));
    }
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

async function soak(run: Run, what: string, seconds: number): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const soakers = Array.from({ length: WORKERS }, (_, i) => new Soaker(i, i % 4 === 3 ? 'wasm' : 'native'));
  const known = new Map<string, string>();
  const resident: number[] = [];
  let jobs = 0;
  try {
    await Promise.all(soakers.map((soaker) => soaker.ready()));
    const end = performance.now() + 1e3 * seconds;
    for (let round = 0; performance.now() < end; round++) {
      const pause = Math.min(end, performance.now() + 1e3 * EVERY);
      const done = (backend: string) => (name: string, hash: string) => {
        jobs++;
        const key = `${name}, ${backend}`;
        const before = known.get(key) ?? hash;
        if (before !== hash) throw new BenchError(`${key}: another result than at first`);
        known.set(key, hash);
      };
      await Promise.all(soakers.map((soaker) => soaker.work(pause, done(soaker.backend))));
      const rests = await Promise.all(soakers.map((soaker) => soaker.ask<{ tensors: number; heap: number }>('rest')));
      collect();
      const { rss } = process.memoryUsage();
      resident.push(rss);
      const left = rests.map(({ tensors }) => tensors);
      if (left.some((bytes) => bytes > 0)) throw new BenchError(`tensors stay: ${left.join(', ')} bytes`);
      const heaps = rests.reduce((sum, { heap }) => sum + heap, 0);
      run.say(`${jobs} jobs, resident ${(rss / 1e6).toFixed(1)} MB, heaps ${(heaps / 1e6).toFixed(1)} MB`);
      await (soakers[round % WORKERS] as Soaker).ask('renew');
    }
  } finally {
    await Promise.all(soakers.map((soaker) => soaker.close()));
  }
  const warm = resident.slice(Math.ceil(resident.length / 10));
  const { median } = summarize(warm);
  run.row(
    what,
    { times: { [OURS]: summarize([seconds / jobs]) }, ratios: {}, shares: {} },
    {
      jobs,
      'memory, MB': median / 1e6,
      'least of its median': Math.min(...warm) / median,
      'most of its median': Math.max(...warm) / median,
    },
  );
}
