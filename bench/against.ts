// npm run bench -- against <ref>: compares another commit with this tree, row by row of the tables of docs/speed.md, in
// alternating turns.

import { tables } from './against/rows.js';
import { buildSide, buildTree, thisTree, treeOf } from './against/tree.js';
import { duration } from './harness/bench.js';
import { contest, type Turn } from './harness/contest.js';
import { BenchError } from './harness/error.js';
import { OURS } from './harness/ours.js';
import { Peer } from './harness/peer.js';
import { geometricMean } from './harness/statistics.js';

/** Minimum speed relative to the other commit: of a row (`ROW`), and of a table in the geometric mean (`TABLE`). */
const ROW = 0.95;
const TABLE = 0.98;

export interface AgainstOptions {
  readonly threads: number;
  readonly quick: boolean;
  /** Measures only rows whose table and name match, such as `gemm: linear 8: 512→2048`. */
  readonly only: RegExp | null;
  /** True if rows are printed as JSON at the end, and all other output goes to stderr. */
  readonly json: boolean;
}

/** A row's times in seconds, and the speed of this tree relative to the other one. */
interface Result {
  readonly table: string;
  readonly row: string;
  readonly seconds: number;
  readonly before: number;
  readonly ratio: number;
}

/** Measures a row on both sides in alternating turns. The ratio is the median of the ratios of adjacent turns. */
async function compare(
  sides: readonly Peer[],
  ref: string,
  table: string,
  row: string,
  { threads, quick }: AgainstOptions,
): Promise<Result> {
  for (const peer of sides) await peer.ask({ table, row, threads });
  const contestants = sides.map((peer, i) => ({
    name: i === 0 ? OURS : ref,
    take: (repeats: number) => peer.ask<Turn>({ repeats }),
  }));
  const { times, ratios } = await contest(contestants, { rounds: quick ? 3 : 15, seconds: quick ? 2 : 5 });
  const [seconds, before] = [OURS, ref].map((name) => times[name]?.median as number) as [number, number];
  return { table, row, seconds, before, ratio: ratios[ref] as number };
}

/** Returns the rows that lose too much, and the tables whose geometric mean does. */
function lossesOf(results: readonly Result[]): string[] {
  const rows = results.filter(({ ratio }) => ratio < ROW);
  const told = rows.map(({ table, row, ratio }) => `${table}: ${row} ${ratio.toFixed(3)}×, at least ${ROW}`);
  for (const table of new Set(results.map((result) => result.table))) {
    const mean = meanOf(results, table);
    if (mean < TABLE) told.push(`${table}: geometric mean ${mean.toFixed(3)}×, at least ${TABLE}`);
  }
  return told;
}

const meanOf = (results: readonly Result[], table: string) =>
  geometricMean(results.filter((result) => result.table === table).map(({ ratio }) => ratio));

/** Measures, prints, and sets the exit code if a row or a table has lost more than it may. */
export async function against(ref: string, options: AgainstOptions): Promise<void> {
  const wanted = Object.entries(tables).map(([table, rows]) => {
    return { table, rows: Object.keys(rows).filter((row) => options.only?.test(`${table}: ${row}`) ?? true) };
  });
  if (wanted.every(({ rows }) => rows.length === 0)) throw new BenchError(`no row matches ${options.only}`);
  const packages = [thisTree, treeOf(ref)].map(buildTree);
  const program = buildSide();
  const sides = packages.map((folder) => new Peer(process.execPath, [program, folder]));
  const tell = options.json ? console.error : console.log;
  const results: Result[] = [];
  try {
    for (const { table, rows } of wanted) {
      if (rows.length === 0) continue;
      tell(`\n${table}: how many times as fast as ${ref} this tree is`);
      for (const row of rows) {
        const result = await compare(sides, ref, table, row, options);
        results.push(result);
        const { seconds, before, ratio } = result;
        const told = `${OURS} ${duration(seconds)}   ${ref} ${duration(before)}   ${ratio.toFixed(3)}×`;
        tell(`${row.padEnd(42)} ${told}${ratio < ROW ? '   LOSES' : ''}`);
      }
      tell(`${'geometric mean'.padEnd(42)} ${meanOf(results, table).toFixed(3)}×`);
    }
  } finally {
    for (const peer of sides) peer.close();
  }
  if (options.json) console.log(JSON.stringify({ ref, threads: options.threads, rows: results }, null, 1));
  const losses = lossesOf(results);
  tell(losses.length === 0 ? `\nNothing is lost against ${ref}.` : `\nLost against ${ref}:\n  ${losses.join('\n  ')}`);
  if (losses.length > 0) process.exitCode = 1;
}
