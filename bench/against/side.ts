// Runs the package of one of two trees in a separate process. It answers each line of JSON with one line. `{ table,
// row, threads }` prepares a row, `{ repeats }` runs it.

import { createInterface } from 'node:readline';
import { packageOf } from './package.js';
import { tables, type Work } from './rows.js';

type Question = { table: string; row: string; threads: number } | { repeats: number };

const its = await packageOf(process.argv[2] as string);
let work: Work = () => ({ seconds: 0 });
let close = () => {};

async function answer(question: Question): Promise<unknown> {
  if ('repeats' in question) return work(question.repeats);
  close();
  const row = tables[question.table]?.[question.row];
  if (row === undefined) throw new Error(`there is no row ${question.row}`);
  const { backend = 'native' } = row;
  const device = await its.createDevice({ backend, threads: backend === 'wasm' ? 1 : question.threads });
  close = () => device.dispose();
  work = row.make(its, device);
  return device.info;
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
process.exit();
