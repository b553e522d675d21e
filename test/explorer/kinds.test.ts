// Models that know positions in other ways, normalise elsewhere and share keys, brought to the page as files.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Transformer, type TransformerOptions } from '../../src/index.js';
import { trace } from '../../src/inspect/index.js';
import { describeWith } from '../equipment.js';
import { Random } from '../random.js';
import { Explorer, expectNear, modelInNode } from './explorer.js';

const FILES = ['config.json', 'model.safetensors', 'source-tokenizer.json', 'target-tokenizer.json'];

const kinds: Record<string, TransformerOptions> = {
  'relative keys and values, post-norm, shared keys': { positions: { kind: 'shaw', maxDistance: 2 }, kvHeads: 2 },
  'relative bias, no biases, no final norms': {
    positions: { kind: 'relativeBias', maxDistance: 3 },
    norm: 'pre',
    bias: false,
    finalNorm: false,
    activation: 'gelu',
  },
};

describeWith(['WebAssembly', 'Chromium'], 'the explorer shows models of other kinds', () => {
  let explorer: Explorer;
  let shipped: Transformer;
  let folder: string;

  beforeAll(async () => {
    explorer = await Explorer.start();
    shipped = await modelInNode();
    folder = await mkdtemp(join(tmpdir(), 'simdformer-kinds-'));
  });
  afterAll(async () => {
    await explorer?.close();
    await rm(folder, { recursive: true, force: true });
  });

  function untrained(options: TransformerOptions): Transformer {
    const { sourceVocab, targetVocab } = shipped.config;
    const sizes = { dModel: 32, heads: 4, encoderLayers: 2, decoderLayers: 2, dFF: 70, maxLength: 12, seed: 3 };
    const model = new Transformer(shipped.device, { ...sizes, sourceVocab, targetVocab, ...options }).eval();
    const random = new Random('distances');
    for (const [name, parameter] of model.namedTensors()) {
      if (name.endsWith('relative_bias')) parameter.write(random.normal([parameter.size]).data);
    }
    model.tokenizers = shipped.tokenizers;
    return model;
  }

  it.each(Object.entries(kinds))('%s', async (name, options) => {
    const model = untrained(options);
    const saved = join(folder, name);
    await model.save(saved);
    const explorerPage = await explorer.open('bring');
    const { page } = explorerPage;
    await page.getByLabel('A model’s files').setInputFiles(FILES.map((file) => join(saved, file)));
    await page.getByText('Every part of the page now shows').waitFor();
    await explorerPage.say('phoenix');

    const source = model.tokenizers.source!.encode('phoenix');
    const { sequences, logProbabilities } = await model.generate([source]);
    const answer = [model.tokenizers.target!.bosId as number, ...(sequences[0] as number[])];
    const read = answer.slice(0, logProbabilities[0]!.length); // an unfinished answer is longer
    const { encoder, decoder } = await trace(model, source, read);

    await explorerPage.show('Look inside');
    await page.getByText('Encoder', { exact: true }).click();
    await page.locator('.thumbnail').nth(6).click(); // layer 2, head 3
    const grid = page.locator('.head').getByRole('grid').first();
    await grid.focus();
    const { inside } = encoder!.layers[1]!.selfAttention!;
    for (let key = 0; key < source.length; key++) {
      const at = 2 * source.length ** 2 + key;
      const says = (await grid.getByRole('gridcell').textContent()) as string;
      for (const [what, values] of [
        [/score ([−\d.]+)/, inside.scores],
        [/q·k ([−\d.]+)/, inside.products],
        [/q·r ([−\d.]+)/, inside.relative],
        [/bias ([−\d.]+)/, inside.bias],
      ] as const) {
        const shown = says.match(what)?.[1];
        expect(shown === undefined, says).toBe(values === null);
        if (values && shown) expectNear(shown, values.data[at]!, 0.0051);
      }
      await page.keyboard.press('ArrowRight');
    }
    await page.getByRole('button', { name: 'Switch off its layer' }).click();
    await page.getByRole('button', { name: 'Switch all on' }).click();

    await explorerPage.show('Follow the numbers');
    const distances = page.locator('.figure', { hasText: 'Distances instead of places' }).getByRole('grid').first();
    await distances.focus(); // on the first letter, seen from the second
    const selfAttention = encoder!.layers[0]!.selfAttention!.inside;
    const [byDistance] = selfAttention.bias
      ? [selfAttention.bias.data[source.length]]
      : [selfAttention.relativeKeys!.data[(8 * (selfAttention.relativeKeys!.shape[0]! - 3)) / 2]];
    const says = (await distances.getByRole('gridcell').textContent()) as string;
    expect(says).toMatch(/^p −1, feature 1: /);
    expectNear(says.split(': ')[1]!, byDistance!, 0.0051);
    await page.getByText('A sound, in the decoder').click();
    const shown = await page.locator('.scores').first().locator('tbody tr td:nth-child(3)').allTextContents();
    const { scores } = decoder!.layers[0]!.selfAttention!.inside;
    expect(shown).toHaveLength(read.length);
    expectNear(shown[0]!, scores.data[read.length]!, 0.0051); // the second token is followed at first
    expectNear(shown[1]!, scores.data[read.length + 1]!, 0.0051);
    expect(shown[2]).toBe('−∞');
    const titles = await page.getByRole('heading', { level: 3 }).allTextContents();
    const norm = titles.findIndex((title) => title.includes('why not batch norm'));
    expect(norm < titles.indexOf('Query, keys and values')).toBe(options.norm === 'pre');
    expect(explorerPage.trouble).toEqual([]);
  });
});
