// Dry runs of loading models of the hub: reads config, tokenizer and headers, and prints a line for each id.
//
//   npm run check:hub                        the ids of docs/models.md
//   npm run check:hub -- gpt2 org/name       these
//
// It ends with code 1 if a model does not load.

import { readFileSync } from 'node:fs';
import { checkedReport, misfit } from '../src/cli/checked-model.ts';
import { createDevice } from '../src/core/create-device.ts';

const given = process.argv.slice(2);
const ids = given.length > 0 ? given : listed();

/** The ids of docs/models.md: the first cell of each row. */
function listed() {
  const page = readFileSync(new URL('../docs/models.md', import.meta.url), 'utf8');
  return [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, id]) => id);
}

const megabytes = (bytes) => `${Math.round(bytes / 1e6)}`.padStart(7);
const width = Math.max(...ids.map(({ length }) => length));
console.log(`${'id'.padEnd(width)}  loads  float32     int8     int4  pipelines, or the reason (megabytes)`);

const device = await createDevice({ threads: 1 });
let failures = 0;
for (const id of ids) {
  const report = await checkedReport(device, id);
  const { fits, memory, pipelines } = report;
  if (!fits) failures++;
  const sizes = ['float32', 'int8', 'int4'].map((format) => megabytes(memory?.[format] ?? 0)).join('  ');
  console.log(`${id.padEnd(width)}  ${fits ? 'yes' : 'no '}    ${sizes}  ${misfit(report) ?? pipelines.join(', ')}`);
}
device.dispose();
console.log(`${ids.length - failures} of ${ids.length} load`);
process.exitCode = failures > 0 ? 1 : 0;
