// A job whose work takes a moment, for line-jobs.test.ts to kill: output, lines that are written together, input.

import { setTimeout } from 'node:timers/promises';
import { runLineJob } from '../../src/cli/line-jobs.js';
import { linesOfFiles } from '../../src/cli/lines.js';
import { npyRows, textLines } from '../../src/cli/result-formats.js';

const [out, together, input] = process.argv.slice(2) as [string, string, string];
const rows = npyRows<string>((text) => Float32Array.of(Number(text), text.length));
await runLineJob<string>({
  inputs: linesOfFiles([input]),
  async compute(inputs) {
    process.stdout.write('working\n');
    await setTimeout(1);
    return inputs.map(({ bytes }) => bytes.toString());
  },
  format: out.endsWith('.npy') ? rows : textLines((text) => `${text}!`),
  out,
  overwrite: false,
  settings: { job: 'slow' },
  batchSize: Number(together),
  signal: new AbortController().signal,
});
