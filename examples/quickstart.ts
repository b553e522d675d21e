// Teaches a small Transformer to pronounce English, then lets it pronounce words it never saw.
//   npm run quickstart -- [words…] [--steps N] [--threads N] [--seed N]

import { parseArgs } from 'node:util';
import { duration, showProgress } from '../src/cli/progress.js';
import { createDevice, type Example, fit, linearDecay, renderHeatMap, Transformer } from '../src/index.js';
import { type Entry, loadEntries, Spelling } from './dictionary.js';

const { values, positionals: words } = parseArgs({
  allowPositionals: true,
  options: {
    steps: { type: 'string', default: '700' },
    threads: { type: 'string' },
    seed: { type: 'string', default: '0' },
  },
});
const seed = Number(values.seed);
const steps = Number(values.steps);

const entries = loadEntries(seed);
const heldOut = entries.slice(0, 1000);
const known = entries.slice(1000);
const { letters, phonemes } = new Spelling(entries);
const examples: Example[] = known.flatMap(({ word, pronunciations }) =>
  pronunciations.map((pronunciation) => ({
    source: letters.encode(word),
    target: phonemes.encode(pronunciation, { addSpecial: true }),
  })),
);

const device = await createDevice(values.threads === undefined ? {} : { threads: Number(values.threads) });
const model = new Transformer(device, {
  dModel: 128,
  heads: 4,
  encoderLayers: 2,
  decoderLayers: 2,
  norm: 'pre',
  dropout: 0,
  sourceVocab: letters.vocabSize,
  targetVocab: phonemes.vocabSize,
  maxLength: 64,
  seed,
});
const size = model.parameters().reduce((sum, { size }) => sum + size, 0);
console.log(
  `Training a Transformer of ${(size / 1e6).toFixed(1)} million parameters on ${known.length} words of the CMU dictionary,` +
    ` on ${device.info.threads} threads (${device.info.backend}, ${device.info.isa}).`,
);

const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
const progress = showProgress();
const start = performance.now();
const { reason, step } = await fit(model, examples, {
  steps,
  batchTokens: 4096,
  schedule: linearDecay(3e-3, { steps: Math.max(steps, 51), warmup: 50 }),
  seed,
  signal: interrupted.signal,
  onStep: progress.onStep,
});
progress.stop();
const seconds = (performance.now() - start) / 1000;
console.log(`${reason === 'aborted' ? 'Stopped' : 'Done'} after ${step} steps, ${duration(seconds)}.\n`);

async function pronounce(list: readonly string[]): Promise<string[]> {
  const { sequences } = await model.generate(
    list.map((word) => letters.encode(word)),
    { maxNewTokens: 48 },
  );
  return sequences.map((ids) => phonemes.decode(ids));
}

const answers = await pronounce(heldOut.map(({ word }) => word));
const isRight = ({ pronunciations }: Entry, i: number) => pronunciations.includes(answers[i] as string);
const right = heldOut.filter(isRight).length;
console.log(
  `Of ${heldOut.length} words it never saw, it pronounces ${right} as the dictionary does. The first of them:`,
);
heldOut.slice(0, 12).forEach((entry, i) => {
  const verdict = isRight(entry, i) ? 'right' : `the dictionary says: ${entry.pronunciations.join(' or ')}`;
  console.log(`  ${entry.word.padEnd(16)} ${(answers[i] as string).padEnd(32)} ${verdict}`);
});

const asked = words.map((word) => word.toLowerCase());
const usable = asked.filter((word) => /^[a-z']+$/.test(word));
for (const word of asked) if (!usable.includes(word)) console.log(`  ${word}: it knows the letters a to z and ' only`);
if (usable.length > 0) {
  console.log('\nYour words:');
  const spoken = await pronounce(usable);
  for (const [i, word] of usable.entries()) console.log(`  ${word.padEnd(16)} ${spoken[i]}`);
}

const shown =
  usable[0] ?? heldOut.find((entry, i) => entry.word.length > 6 && isRight(entry, i))?.word ?? 'transformer';
const { attentions, sequences } = await model.generate([letters.encode(shown)], {
  outputAttentions: true,
  maxNewTokens: 48,
});
const cross = attentions?.cross.at(-1);
if (cross !== undefined) {
  const [, heads, steps, length] = cross.shape as [number, number, number, number];
  const weights = await cross.data();
  const mean = Float32Array.from({ length: steps * length }, (_, i) => {
    let sum = 0;
    for (let head = 0; head < heads; head++) sum += weights[head * steps * length + i] as number;
    return sum / heads;
  });
  const rows = [...(sequences[0] as number[]).map((id) => phonemes.idToToken(id) as string), 'end'];
  console.log(
    `\nWhich letters of "${shown}" each phoneme looked at (cross attention of the last layer, mean of its heads):`,
  );
  console.log(renderHeatMap(mean, { rows, columns: [...shown], color: process.stdout.isTTY }));
}
device.dispose();
