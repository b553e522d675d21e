// Pronounces words with the model g2p-en. Then trains a new, small Transformer to pronounce English, and shows its answers
// for words that it has never seen, and their attention.
//   npm run quickstart -- [words…] [--steps N] [--threads N] [--seed N]

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { dictionary } from 'cmu-pronouncing-dictionary';
import { CharTokenizer, createDevice, fit, linearDecay, Transformer } from '../src/index.js';
import { renderHeatMap } from '../src/inspect/index.js';
import { Random } from '../src/nn/index.js';
import { WordTokenizer } from '../src/tokenizers/index.js';

/** A word, and all of its pronunciations as phonemes between spaces. */
interface Entry {
  readonly word: string;
  readonly spoken: readonly string[];
}

const { steps, threads, seed, positionals } = readArguments();
const device = await createDevice({ threads });
const words = positionals.map((word) => word.toLowerCase()).filter(isSpellable);

await pronounceAtOnce();

const entries = new Random(seed).shuffle(readDictionary());
const unseen = entries.slice(0, 1000);
const seen = entries.slice(1000);
const special = { pad: '<pad>', bos: '<s>', eos: '</s>' };
const letters = CharTokenizer.train("abcdefghijklmnopqrstuvwxyz'", { special });
const phonemes = WordTokenizer.train(
  seen.flatMap(({ spoken }) => spoken),
  { special },
);
const examples = seen.flatMap(({ word, spoken }) =>
  spoken.map((target) => ({ source: letters.encode(word), target: phonemes.encode(target, { addSpecial: true }) })),
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
await say(model, words, '\nYour words, pronounced by the new model:');
await showAttention(words[0]);
device.dispose();

/** Reads the command line. If it is wrong, the program ends with a line that tells why. */
function readArguments() {
  const fail = (message: string): never => {
    console.error(`quickstart: ${message.replaceAll('\n', ' ')}`);
    process.exit(2);
  };
  const count = (name: string, text: string, min: number) => {
    const value = Number(text);
    return Number.isSafeInteger(value) && value >= min && text.trim() !== ''
      ? value
      : fail(`--${name} ${text}: expected an integer of at least ${min}`);
  };
  try {
    const options = { steps: { type: 'string' }, threads: { type: 'string' }, seed: { type: 'string' } } as const;
    const { values, positionals } = parseArgs({ allowPositionals: true, options });
    const { steps = '700', threads, seed = '0' } = values;
    return {
      steps: count('steps', steps, 1),
      threads: threads === undefined ? undefined : count('threads', threads, 1),
      seed: count('seed', seed, 0),
      positionals,
    };
  } catch (error) {
    return fail((error as Error).message);
  }
}

/** The words of the CMU pronouncing dictionary, without stress marks. */
function readDictionary(): Entry[] {
  const found = new Map<string, Set<string>>();
  for (const [key, value] of Object.entries(dictionary)) {
    const word = key.replace(/\(\d+\)$/, ''); // "read(2)" is another pronunciation of "read"
    if (!/^[a-z']+$/.test(word)) continue;
    const spoken = value.replace(/ *#.*$/, '').replace(/\d/g, '');
    found.set(word, (found.get(word) ?? new Set()).add(spoken));
  }
  return [...found].map(([word, spoken]) => ({ word, spoken: [...spoken] }));
}

/** True if the models can read the word; prints a line if not. */
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
  await say(shipped, asked, 'The model g2p-en pronounces:');
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
  const { reason, step } = await fit(model, examples, {
    steps,
    schedule: linearDecay(3e-3, { steps: Math.max(steps, 51), warmup: 50 }),
    seed,
    signal: interrupted.signal,
    onStep: ({ step, loss, seconds }) => {
      if (step % 50 === 0 || step === steps)
        console.log(`step ${step} of ${steps}, loss ${loss.toFixed(3)}, ${seconds.toFixed(0)} s`);
    },
  });
  process.off('SIGINT', interrupt);
  console.log(`${reason === 'aborted' ? 'Stopped' : 'Done'} after ${step} steps.\n`);
}

async function showUnseen(): Promise<void> {
  const answers = await pronounce(
    model,
    unseen.map(({ word }) => word),
  );
  const isRight = ({ spoken }: Entry, i: number) => spoken.includes(answers[i] as string);
  const right = unseen.filter(isRight).length;
  console.log(`Of ${unseen.length} words it never saw it pronounces ${right} as the dictionary does. The first:`);
  for (const [i, entry] of unseen.slice(0, 12).entries()) {
    const verdict = isRight(entry, i) ? 'right' : `it is ${entry.spoken[0]}`;
    console.log(`  ${entry.word.padEnd(14)} ${(answers[i] as string).padEnd(28)} ${verdict}`);
  }
}

async function say(speaker: Transformer, list: readonly string[], heading: string): Promise<void> {
  if (list.length === 0) return;
  console.log(heading);
  const answers = await pronounce(speaker, list);
  for (const [i, word] of list.entries()) console.log(`  ${word.padEnd(16)} ${answers[i]}`);
}

async function pronounce(speaker: Transformer, list: readonly string[]): Promise<string[]> {
  const { source, target } = speaker.tokenizers;
  if (!source || !target) throw new Error('the model was saved without its tokenizers');
  const { sequences } = await speaker.generate(
    list.map((word) => source.encode(word)),
    { maxNewTokens: 60 },
  );
  return sequences.map((ids) => target.decode(ids));
}

/** Draws the attention for one word: the first given one, or the first long one that the model never saw. */
async function showAttention(asked: string | undefined): Promise<void> {
  const word = asked ?? unseen.find((entry) => entry.word.length > 6)?.word ?? 'transformer';
  const { attentions, sequences } = await model.generate([letters.encode(word)], { outputAttentions: true });
  const cross = attentions?.cross.at(-1); // [1, heads, phonemes, letters]
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
    `\nAttention of each phoneme to the letters of "${word}"\n(cross-attention of the last layer, mean of its heads):`,
  );
  const labels = { rows: [...spoken, 'end'], columns: [...word] };
  const color = process.stdout.isTTY && process.stdout.hasColors(256);
  console.log(renderHeatMap(mean, { ...labels, color }));
}
