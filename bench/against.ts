// npm run bench -- against <ref>: another commit beside this tree, row by row of the README's tables, in turn.

import { tables } from './against/rows.js';
import { buildSide, buildTree, thisTree, treeOf } from './against/tree.js';
import { duration } from './harness/bench.js';
import { contest, type Turn } from './harness/contest.js';
import { BenchError } from './harness/error.js';
import { OURS } from './harness/ours.js';
import { Peer } from './harness/peer.js';
import { geometricMean } from './harness/statistics.js';

/** What a row, and a table in the geometric mean, may lose. */
const ROW = 0.95;
const TABLE = 0.98;

export interface AgainstOptions {
  readonly threads: number;
  readonly quick: boolean;
  /** Only rows whose table and name match, as `gemm: linear 8: 512→2048`. */
  readonly only: RegExp | null;
}

/** How many times as fast as the other tree this one is in a row: the median of the ratios of turns beside each other. */
async function ratioOf(sides: readonly Peer[], ref: string, table: string, row: string, options: AgainstOptions) {
  for (const peer of sides) await peer.ask({ table, row, threads: options.threads });
  const contestants = sides.map((peer, i) => ({
    name: i === 0 ? OURS : ref,
    take: (repeats: number) => peer.ask<Turn>({ repeats }),
  }));
  const { times, ratios } = await contest(contestants, {
    rounds: options.quick ? 3 : 15,
    seconds: options.quick ? 2 : 5,
  });
  const told = [OURS, ref].map((name) => `${name} ${duration(times[name]?.median as number)}`).join('   ');
  const ratio = ratios[ref] as number;
  console.log(`${row.padEnd(42)} ${told}   ${ratio.toFixed(3)}×${ratio < ROW ? '   LOSES' : ''}`);
  return ratio;
}

/** Measures, prints, and sets the exit code if a row or a table has lost more than it may. */
export async function against(ref: string, options: AgainstOptions): Promise<void> {
  const wanted = Object.entries(tables).map(([table, rows]) => {
    return { table, rows: Object.keys(rows).filter((row) => options.only?.test(`${table}: ${row}`) ?? true) };
  });
  if (wanted.every(({ rows }) => rows.length === 0)) throw new BenchError(`no row matches ${options.only}`);
  const packages = [thisTree, treeOf(ref)].map(buildTree);
  const program = buildSide();
  const sides = packages.map((folder) => new Peer(process.execPath, [program, folder]));
  const losses: string[] = [];
  try {
    for (const { table, rows } of wanted) {
      if (rows.length === 0) continue;
      console.log(`\n${table}: how many times as fast as ${ref} this tree is`);
      const ratios: number[] = [];
      for (const row of rows) {
        const ratio = await ratioOf(sides, ref, table, row, options);
        ratios.push(ratio);
        if (ratio < ROW) losses.push(`${table}: ${row} ${ratio.toFixed(3)}×, at least ${ROW}`);
      }
      const mean = geometricMean(ratios);
      console.log(`${'geometric mean'.padEnd(42)} ${mean.toFixed(3)}×`);
      if (mean < TABLE) losses.push(`${table}: geometric mean ${mean.toFixed(3)}×, at least ${TABLE}`);
    }
  } finally {
    for (const peer of sides) peer.close();
  }
  if (losses.length === 0) return console.log(`\nNothing is lost against ${ref}.`);
  console.error(`\nLost against ${ref}:\n  ${losses.join('\n  ')}`);
  process.exitCode = 1;
}
