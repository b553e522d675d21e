// Pronounces words with the model that comes with the package; then teaches a new, small Transformer to pronounce English,
// shows what it makes of words it never saw, and where it looked.
//   npm run quickstart -- [words…] [--steps N] [--threads N] [--seed N]

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { showsColors } from '../src/cli/common.js';
import { type Pair, readDictionary } from '../src/cli/data.js';
import { duration } from '../src/cli/duration.js';
import { tokenizersOf } from '../src/cli/encoding.js';
import { integer } from '../src/cli/parsers.js';
import { showProgress } from '../src/cli/progress.js';

import { CharTokenizer, createDevice, fit, linearDecay, Transformer } from '../src/index.js';
import { renderHeatMap } from '../src/inspect/index.js';
import { Random } from '../src/nn/index.js';
import { WordTokenizer } from '../src/tokenizers/index.js';
import type { Example } from '../src/train/index.js';

const { seed, steps, threads, positionals } = readArguments();
const device = await createDevice({ threads });
const words = positionals.map((word) => word.toLowerCase()).filter(isSpellable);

await pronounceAtOnce();

const pairs = new Random(seed).shuffle(await readDictionary());
const unseen = pairs.slice(0, 1000);
const seen = pairs.slice(1000);
const special = { pad: '<pad>', bos: '<s>', eos: '</s>' };
const letters = CharTokenizer.train("abcdefghijklmnopqrstuvwxyz'", { special });
const phonemes = WordTokenizer.train(
  seen.flatMap(({ targets }) => targets),
  { special },
);
const examples: Example[] = seen.flatMap(({ source, targets }) =>
  targets.map((target) => ({ source: letters.encode(source), target: phonemes.encode(target, { addSpecial: true }) })),
);
const model = new Transformer(device, {
  dModel: 128,
  heads: 4,
  encoderLayers: 2,
  decoderLayers: 2,
  norm: 'pre',
  sourceVocab: letters.vocabSize,
  targetVocab: phonemes.vocabSize,
  maxLength: 64,
  seed,
});
model.tokenizers = { source: letters, target: phonemes };

await train();
await showUnseen();
await say(model, words, '\nYour words, as it pronounces them now:');
await showAttention(words[0]);
device.dispose();

/** Reads the command line. If it is wrong, the program ends with a line that says why. */
function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        steps: { type: 'string', default: '700' },
        threads: { type: 'string' },
        seed: { type: 'string', default: '0' },
      },
    });
    const read = (name: keyof typeof values, least: number, most?: number) => {
      try {
        return integer(least, most)(values[name] as string);
      } catch (error) {
        throw new Error(`--${name} ${values[name]}: ${(error as Error).message}`);
      }
    };
    const threads = values.threads === undefined ? undefined : read('threads', 1, 64);
    return { seed: read('seed', 0), steps: read('steps', 1), threads, positionals };
  } catch (error) {
    console.error(`quickstart: ${(error as Error).message.replaceAll('\n', ' ')}`);
    process.exit(2);
  }
}

/** True if the model can read the word; prints a line if not. */
function isSpellable(word: string): boolean {
  const spellable = /^[a-z']{1,48}$/.test(word);
  if (!spellable) console.log(`'${word}' is left out: only words of 1 to 48 letters a to z and ' can be pronounced.`);
  return spellable;
}

async function pronounceAtOnce(): Promise<void> {
  const folder = fileURLToPath(new URL('../models/g2p-en', import.meta.url));
  if (!existsSync(folder)) return;
  const shipped = await Transformer.load(device, folder);
  const asked = words.length > 0 ? words : ['hello', 'world', 'transformer'];
  await say(shipped, asked, 'The model that comes with the package pronounces:');
  shipped.dispose();
  console.log();
}

async function train(): Promise<void> {
  const { threads, backend, isa } = device.info;
  const size = model.parameters().reduce((sum, parameter) => sum + parameter.size, 0);
  console.log(`Training a new Transformer of ${(size / 1e6).toFixed(1)} million parameters on ${seen.length} words`);
  console.log(`(${threads} threads, ${backend}, ${isa}):`);
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once('SIGINT', interrupt);
  const progress = showProgress('words');
  const start = performance.now();
  const { reason, step } = await fit(model, examples, {
    steps,
    schedule: linearDecay(3e-3, { steps: Math.max(steps, 51), warmup: 50 }),
    seed,
    signal: interrupted.signal,
    onStep: progress.onStep,
  }).finally(progress.stop);
  process.off('SIGINT', interrupt);
  const seconds = (performance.now() - start) / 1000;
  console.log(`${reason === 'aborted' ? 'Stopped' : 'Done'} after ${step} steps, ${duration(seconds)}.\n`);
}

async function showUnseen(): Promise<void> {
  const answers = await pronounce(
    model,
    unseen.map(({ source }) => source),
  );
  const isRight = ({ targets }: Pair, i: number) => targets.includes(answers[i] as string);
  const right = unseen.filter(isRight).length;
  console.log(`Of ${unseen.length} words it never saw it pronounces ${right} as the dictionary does. The first:`);
  for (const [i, pair] of unseen.slice(0, 12).entries()) {
    const verdict = isRight(pair, i) ? 'right' : `it is ${pair.targets[0]}`;
    console.log(`  ${pair.source.padEnd(14)} ${(answers[i] as string).padEnd(28)} ${verdict}`);
  }
}

async function say(speaker: Transformer, list: readonly string[], heading: string): Promise<void> {
  if (list.length === 0) return;
  console.log(heading);
  const answers = await pronounce(speaker, list);
  for (const [i, word] of list.entries()) console.log(`  ${word.padEnd(16)} ${answers[i]}`);
}

async function pronounce(speaker: Transformer, list: readonly string[]): Promise<string[]> {
  const { source, target } = tokenizersOf(speaker);
  const { sequences } = await speaker.generate(
    list.map((word) => source.encode(word)),
    { maxNewTokens: 60 },
  );
  return sequences.map((ids) => target.decode(ids));
}

/** The heat map of one word: the one asked for, or the first long one that it never saw. */
async function showAttention(asked: string | undefined): Promise<void> {
  const word = asked ?? unseen.find(({ source }) => source.length > 6)?.source ?? 'transformer';
  const { attentions, sequences } = await model.generate([letters.encode(word)], { outputAttentions: true });
  const cross = attentions?.cross.at(-1);
  if (cross === undefined) return;
  const [, heads, rows, columns] = cross.shape as [number, number, number, number];
  const weights = await cross.data();
  const mean = Float32Array.from({ length: rows * columns }, (_, i) => {
    let sum = 0;
    for (let head = 0; head < heads; head++) sum += weights[head * rows * columns + i] as number;
    return sum / heads;
  });
  const spoken = (sequences[0] as number[]).map((id) => phonemes.idToToken(id) as string);
  console.log(
    `\nWhich letters of "${word}" each phoneme looked at\n(cross attention of the last layer, mean of its heads):`,
  );
  const labels = { rows: [...spoken, 'end'], columns: [...word] };
  console.log(renderHeatMap(mean, { ...labels, color: showsColors() }));
}
