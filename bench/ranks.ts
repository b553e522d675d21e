// Scaling of training over ranks. `npx tsx bench/ranks.ts [pattern]` measures the points whose names match, as root,
// because hosts are network namespaces. Each takes about ten seconds. Results are kept in bench/results/ranks.json.
// `npx tsx bench/ranks/chart.ts` fits a model of a step's time to some of them, checks it with the others, and draws
// its predictions.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildMpi } from '../src/mpi/index.js';
import { resultsFolder } from './harness/bench.js';
import { commit, thisMachine } from './harness/machine.js';
import { median } from './harness/statistics.js';
import { type Link, Network, printed } from './ranks/network.js';
import type { RankJob, Timed } from './ranks/rank.js';

/** A point of bench/results/ranks.json. */
export interface RankPoint {
  readonly name: string;
  readonly ranks: number;
  readonly link: Link | null;
  readonly travel: RankJob['travel'];
  readonly threads: number;
  readonly parameters: number;
  readonly seconds: number;
  /** Number of rounds of steps. */
  readonly rounds: number;
}

interface Plan extends Pick<RankPoint, 'name' | 'ranks' | 'link' | 'travel' | 'threads'> {
  readonly steps: number;
  readonly accumulation: number;
}

const links: Readonly<Record<string, Link>> = {
  '1 Gbit/s, 0.2 ms': { bitsPerSecond: 1e9, seconds: 2e-4 },
  '100 Mbit/s, 5 ms': { bitsPerSecond: 1e8, seconds: 5e-3 },
  '300 Mbit/s, 1 ms': { bitsPerSecond: 3e8, seconds: 1e-3 },
};

const shared = { link: null, travel: 'overlapped' as const };
const plans: readonly Plan[] = [
  { ...shared, name: 'one process × 2 threads', ranks: 1, threads: 2, steps: 14, accumulation: 2 },
  { ...shared, name: '2 ranks × 1 thread', ranks: 2, threads: 1, steps: 14, accumulation: 1 },
  ...[2, 3, 4].map((ranks) => ({
    ...shared,
    name: `${ranks} ranks, computing alone`,
    ranks,
    threads: 1,
    travel: 'never' as const,
    steps: 10,
    accumulation: 1,
  })),
  ...Object.entries(links).flatMap(([name, link]) =>
    [2, 3, 4].flatMap((ranks) =>
      (['overlapped', 'after'] as const).map((travel) => ({
        name: `${ranks} hosts, ${name}, ${travel}`,
        ranks,
        link,
        travel,
        threads: 1,
        steps: link.bitsPerSecond < 1e9 ? 4 : 8,
        accumulation: 1,
      })),
    ),
  ),
];

const RANK = fileURLToPath(new URL('ranks/rank.ts', import.meta.url));
const TSX = fileURLToPath(import.meta.resolve('tsx'));
const path = join(resultsFolder, 'ranks.json');

async function measure({ steps, accumulation, ...plan }: Plan): Promise<RankPoint> {
  const job: RankJob = { threads: plan.threads, steps, gradientAccumulation: accumulation, travel: plan.travel };
  const command = [process.execPath, '--import', TSX, RANK, JSON.stringify(job)];
  const { parameters, seconds } = JSON.parse(await run(plan, command)) as Timed;
  return { ...plan, parameters, seconds: median(seconds), rounds: seconds.length };
}

async function run({ ranks, link }: Pick<Plan, 'ranks' | 'link'>, command: readonly string[]): Promise<string> {
  if (ranks === 1) return execFileSync(command[0] as string, command.slice(1), { encoding: 'utf8' });
  if (link === null) {
    const here = ['--allow-run-as-root', '--bind-to', 'none', '--mca', 'btl', 'self,vader', '-n', `${ranks}`];
    return printed('mpirun.openmpi', ['--oversubscribe', ...here, ...command]);
  }
  const network = new Network(ranks);
  try {
    await network.open(link);
    return await network.run(command);
  } finally {
    network.close();
  }
}

const wanted = new RegExp(process.argv[2] ?? '');
await buildMpi('mpicxx.openmpi');
for (const plan of plans.filter(({ name }) => wanted.test(name))) {
  const point = await measure(plan);
  console.log(`${point.name.padEnd(42)} ${(1000 * point.seconds).toFixed(0)} ms`);
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { points: RankPoint[] }).points : [];
  const points = [...before.filter(({ name }) => name !== point.name), point];
  const found = { date: new Date().toISOString().slice(0, 16), commit: commit(), machine: thisMachine(), points };
  writeFileSync(`${path}.new`, `${JSON.stringify(found, null, 1)}\n`);
  renameSync(`${path}.new`, path);
}
