// A made-up language from training to translations, as a user does it.

import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTask } from '../../src/cli/config.js';
import { prepareTask } from '../../src/cli/tasks.js';
import { normalizerOf, trainTranslationTokenizer, wordsOf } from '../../src/cli/translation-tokenizer.js';
import { createDevice } from '../../src/index.js';
import { BpeDropout } from '../../src/tokenizers/bpe-dropout.js';
import { type Ended, simdformer, temporaryFolder } from './run-cli.js';

const ANIMALS = { dog: 'hund', cat: 'katze', bird: 'vogel', horse: 'pferd', fish: 'fisch' };
const KINDS = { big: 'groß', old: 'alt', small: 'klein' };
const DOES = { sees: 'sieht', hears: 'hört', knows: 'kennt' };

/** All sentences "The big dog sees, today, a cat." and what they are in a language with the verb at the end. */
const pairs = Object.entries(ANIMALS).flatMap(([animal, tier]) =>
  Object.entries(ANIMALS).flatMap(([other, anderes]) =>
    Object.entries(KINDS).flatMap(([kind, art]) =>
      Object.entries(DOES).map(
        ([does, tut]) => `The ${kind} ${animal} ${does} a ${other}.\tHeute das ${art} ${tier} ein ${anderes}, ${tut}.`,
      ),
    ),
  ),
);
const special = { pad: '<pad>', bos: '<s>', eos: '</s>' };
const model = { dModel: 32, heads: 2, dFF: 64, encoderLayers: 1, decoderLayers: 1, dropout: 0, maxLength: 32 };
const schedule = { kind: 'linear', peak: 0.01, warmup: 10 };
const settings = { task: 'translation', model, schedule, vocabSize: 300, batch: 600, validateEvery: 100 };

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let trained: Ended;

beforeAll(async () => {
  folder = await temporaryFolder();
  await writeFile(folder.at('train.tsv'), `${pairs.filter((_, i) => i % 9 > 0).join('\n')}\n`);
  await writeFile(folder.at('dev.tsv'), `${pairs.filter((_, i) => i % 9 === 0).join('\n')}\n`);
  await writeFile(folder.at('task.json'), JSON.stringify({ ...settings, averageLast: 2 }));
  const data = ['--data', folder.at('train.tsv'), '--validation', folder.at('dev.tsv')];
  trained = await simdformer([
    'train',
    folder.at('task.json'),
    ...data,
    '--steps',
    '300',
    '-o',
    folder.at('m'),
    '--json',
  ]);
});
afterAll(() => folder.remove());

describe('train translation', () => {
  it('reports the loss, BLEU and chrF of the held-out pairs', () => {
    expect(trained.code, trained.stderr).toBe(0);
    const { step, metrics } = JSON.parse(trained.stdout);
    expect(step).toBe(300);
    expect(metrics.bleu).toBeGreaterThan(80);
    expect(metrics.chrf).toBeGreaterThan(80);
    expect(metrics.loss).toBeLessThan(1);
  });

  it('makes a model that eval measures and that translates plain sentences', async () => {
    const command = ['eval', folder.at('m'), folder.at('dev.tsv'), '--beams', '5', '--json', '--outputs'];
    const { count, bleu, chrf, outputs } = JSON.parse((await simdformer(command)).stdout);
    expect(count).toBe(25);
    expect(bleu).toBeGreaterThan(80);
    expect(chrf).toBeGreaterThan(80);
    expect(outputs.length).toBeLessThan(10); // only the wrong ones
    const plain = await simdformer(['run', folder.at('m'), 'THE BIG DOG SEES A CAT.', '--beams', '5']);
    const lines = await simdformer(['translate', folder.at('m')], { input: 'The big dog sees a cat.\n\n' });
    expect(plain.stdout).toBe('heute das groß hund ein katze , sieht .\n');
    expect(lines.stdout).toBe(`${plain.stdout}\n`);
    const named = await simdformer(['translate', folder.at('m'), '--to', 'de'], { input: 'a\n' });
    expect(named.stderr).toContain('omit --from and --to');
  });

  it('uses the length penalty of the paper by default', async () => {
    const config = JSON.parse(await readFile(folder.at('m/config.json'), 'utf8'));
    expect(config.generation).toEqual({ lengthPenalty: 0.6 });
    const measured = async (...options: string[]) => {
      const command = ['eval', folder.at('m'), folder.at('dev.tsv'), '--beams', '5', '--json', '--outputs', ...options];
      const { seconds, ...result } = JSON.parse((await simdformer(command)).stdout);
      return result;
    };
    const own = await measured();
    expect(own).toEqual(await measured('--length-penalty', '0.6'));
    expect(own).not.toEqual(await measured('--length-penalty', '20'));
  });

  it('draws the same tokens for a batch each time it is requested', async () => {
    using device = await createDevice({ threads: 1 });
    const prepared = async (bpeDropout: number) => {
      const config = await readTask(folder.at('task.json'), {
        data: folder.at('train.tsv'),
        bpeDropout,
        validation: 9,
      });
      return (await prepareTask(device, config)).batches;
    };
    const [some, same, none] = [await prepared(0.3), await prepared(0.3), await prepared(0)];
    some.batch(0);
    expect(some.batch(3)).toEqual(same.batch(3));
    expect(some.batch(3)).not.toEqual(none.batch(3));
    expect(some.fingerprint).toBe(same.fingerprint);
  });

  it('saves the measured weights, after a short run and after a resumed one', async () => {
    const task = { ...settings, averageLast: 5, validateEvery: 20 };
    await writeFile(folder.at('short.json'), JSON.stringify(task));
    const data = ['--data', folder.at('train.tsv'), '--validation', folder.at('dev.tsv')];
    for (const more of [
      ['--steps', '60'],
      ['--steps', '120', '--resume'],
    ]) {
      const command = ['train', folder.at('short.json'), ...data, ...more, '-o', folder.at('short'), '--json'];
      const { weights, metrics } = JSON.parse((await simdformer(command)).stdout);
      expect(weights).toBe('last'); // an average with early weights is much worse
      const log = (await readFile(folder.at('short/log.jsonl'), 'utf8')).trimEnd().split('\n');
      expect(JSON.parse(log.at(-2)!)).toMatchObject({ averageIsKept: false });
      expect(JSON.parse(log.at(-1)!)).toMatchObject({ saved: weights });
      const measured = await simdformer(['eval', folder.at('short'), folder.at('dev.tsv'), '--json']);
      const { bleu, chrf } = JSON.parse(measured.stdout);
      expect([bleu, chrf]).toEqual([metrics.bleu, metrics.chrf]);
    }
    const again = ['train', folder.at('short.json'), ...data, '--steps', '120', '--resume', '-o', folder.at('short')];
    expect((await simdformer(again)).stdout).toContain('Saved the weights of the last step. Model: ');
  });

  it('takes as many steps as fit into the given minutes', async () => {
    const data = ['--data', folder.at('train.tsv'), '--validation', folder.at('dev.tsv')];
    const command = ['train', folder.at('task.json'), ...data, '--minutes', '0.05', '--json'];
    const start = performance.now();
    const { stdout, stderr } = await simdformer([...command, '-o', folder.at('timed')]);
    const { reason, step, seconds } = JSON.parse(stdout || JSON.stringify(stderr));
    expect(reason).toBe('done');
    expect(step).toBeGreaterThan(1);
    expect(seconds).toBeLessThan((performance.now() - start) / 1000);
    const both = await simdformer([...command, '--epochs', '1', '-o', folder.at('x')]);
    expect(both.stderr).toContain("option '--minutes <n>' cannot be used with option '--epochs <n>'");
  });

  it('needs data, and keeps some of it for training', async () => {
    const empty = await simdformer(['train', 'translation', '-o', folder.at('x')]);
    expect(empty.stderr).toContain('give their file with --data');
    using device = await createDevice({ threads: 1 });
    const config = await readTask(folder.at('task.json'), { data: folder.at('dev.tsv'), validation: 25 });
    await expect(prepareTask(device, config)).rejects.toThrow('validation holds out 25 pairs, but there are 25');
  });
});

describe('the tokenizer of translations', () => {
  const tokenized = [
    'un chien court dans l&apos; herbe , près d&apos; un arbre .',
    'a man &apos;s dog says &quot; hello &quot; &amp; runs ( fast ) : 10,000 people watch !',
    'der u-bahn-fahrer trägt ein t-shirt .',
  ];
  const plain = [
    "Un chien court dans l'herbe, près d’un arbre.",
    'A man\'s dog says "hello" & runs (fast): 10,000 people watch!',
    'Der U-Bahn-Fahrer trägt ein T-Shirt.',
  ];

  it('normalizes plain text, and leaves tokenized text unchanged', async () => {
    const tokenizer = await trainTranslationTokenizer(tokenized, { vocabSize: 320, special, lowerCase: true });
    for (const [i, text] of tokenized.entries()) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      expect(tokenizer.encode(plain[i] as string)).toEqual(tokenizer.encode(text));
    }
  });

  it('keeps quotes and capitals if its text has no entities and requires them', async () => {
    const tokenizer = await trainTranslationTokenizer(plain, { vocabSize: 320, special, lowerCase: false });
    const text = tokenizer.decode(tokenizer.encode(plain[1] as string));
    expect(text).toBe('A man \'s dog says " hello " & runs ( fast ) : 10,000 people watch !');
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it('finds the same tokens word by word, and with dropped merges other tokens of the same text', async () => {
    const tokenizer = await trainTranslationTokenizer(tokenized, { vocabSize: 330, special, lowerCase: true });
    const json = tokenizer.toJSON();
    const { Random } = await import('../../src/core/random.js');
    const [normalize, tokens, random] = [normalizerOf(json), new BpeDropout(json, 0.5), new Random(0, 0)];
    for (const text of plain) {
      const words = wordsOf(normalize(text));
      expect(words.flatMap((word) => tokens.whole(word))).toEqual(tokenizer.encode(text));
      const drawn = words.flatMap((word) => tokens.draw(word, random));
      expect(drawn.length).toBeGreaterThan(tokenizer.encode(text).length);
      expect(tokenizer.decode(drawn)).toBe(normalize(text));
    }
    expect(() => new BpeDropout(json, 1)).toThrow('p is 1, expected a number from 0 to below 1');
  });
});
