// Models of Hugging Face's, and GGUF files, that are brought to the explorer: what it shows of them is what Node computes.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { expect, it } from 'vitest';
import { trace } from '../../src/inspect/index.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/index.js';
import { describeWith } from '../equipment.js';
import { NOT_FETCHED, realModel } from '../real-models.js';
import { testData } from '../test-data.js';
import { takePicture } from './explorer.js';
import { filesOf, openGuestPage, type Payload, payload } from './guest-page.js';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

describeWith(['WebAssembly', 'Chromium'], 'the explorer shows models of Hugging Face’s', () => {
  const guest = openGuestPage();

  const field = () => guest.field;
  const give = (files: readonly Payload[]) => guest.give(files);
  const news = (text: string | RegExp) => guest.news(text);
  const bring = (files: readonly Payload[]) => guest.bring(files);
  const said = () => guest.said();

  /** Names and percents of what the page takes for likeliest. */
  async function guesses(): Promise<{ names: string[]; percents: number[] }> {
    const { page } = guest.brought;
    const percents = await page.locator('.guess-percent').allTextContents();
    return {
      names: await page.locator('.guess-name').allTextContents(),
      percents: percents.map((text) => (text.startsWith('<') ? 0 : Number.parseFloat(text))),
    };
  }

  async function expectGuesses(model: LoadedModel, row: Float32Array): Promise<void> {
    const { names, percents } = await guesses();
    const order = Array.from(row.keys()).sort((a, b) => row[b]! - row[a]!);
    expect(names).toHaveLength(Math.min(8, row.length));
    for (const [i, percent] of percents.entries()) expect(Math.abs(percent - 100 * row[order[i]!]!)).toBeLessThan(0.11);
    const named = model.tokenizer?.decode([order[0]!]).trim() ?? String(order[0]);
    expect(names[0]).toBe(named);
  }

  const rowOf = ({ data, shape }: { data: Float32Array; shape: readonly number[] }, row: number) =>
    data.slice(row * shape[1]!, (row + 1) * shape[1]!);

  it('shows the next tokens and every head of a Llama', async () => {
    const folder = testData('checkpoints/tinystories-656k').path;
    const model = await loadModel(guest.device, folder);
    await bring(await filesOf(folder));
    const text = 'One day a girl named Lily';
    await field().fill(text);
    expect(await said()).toMatch(/^\d+ tokens\.$/);
    const ids = model.tokenizer!.encode(text, { addSpecial: true });
    const { probabilities } = await trace(model, null, ids);
    await expectGuesses(model, rowOf(probabilities, ids.length - 1));
    await guest.page.locator('.chips button').nth(2).click();
    await expectGuesses(model, rowOf(probabilities, 2));
    expect(await guest.page.locator('.thumbnail').count()).toBe(16);
    await guest.page.locator('.thumbnail').nth(3).click();
    await guest.page.getByRole('heading', { name: 'Layer 1, head 4' }).waitFor();
    const { sequences } = await model.generate([ids], { numBeams: 1, doSample: false, maxNewTokens: 32 });
    await guest.page.getByRole('button', { name: 'Let it go on' }).click();
    await expect.poll(() => field().inputValue()).toBe(model.tokenizer!.decode([...ids, ...sequences[0]!]));
    await said();
    expect(guest.brought.trouble).toEqual([]);
    model.dispose();
  });

  it('shows a GGUF file', async () => {
    const path = `${testData('checkpoints/tinystories-656k').path}/tinystories-656k-Q8_0.gguf`;
    const model = await loadModel(guest.device, path);
    await bring([payload('tiny.gguf', await readFile(path))]);
    await news('“tiny” is below');
    await field().fill('Once upon a time');
    await said();
    const ids = model.tokenizer!.encode('Once upon a time', { addSpecial: true });
    const { probabilities } = await trace(model, null, ids);
    await expectGuesses(model, rowOf(probabilities, ids.length - 1));
    model.dispose();
  });

  it('shows the masked tokens of an ALBERT', async () => {
    const folder = testData('checkpoints/rxnmapper-albert').path;
    const model = await loadModel(guest.device, folder);
    await bring(await filesOf(folder));
    const text = 'CC(C)S.CN(C)C=O>>CCO';
    await field().fill(text);
    await said();
    const mask = model.tokenizer!.tokenToId('[MASK]')!;
    await guest.page.locator('.chips button').nth(3).click();
    await said();
    const ids = model.tokenizer!.encode(text, { addSpecial: true }).map((id, i) => (i === 3 ? mask : id));
    await expectGuesses(model, rowOf((await trace(model, ids)).probabilities, 3));
    model.dispose();
  });

  it.each([
    'bert-mlm',
    'gpt2',
    'llama',
    'roberta-sequence',
    'electra-discriminator',
    'bert-token',
    'bert-qa',
    't5',
    'mpnet',
  ])('shows %s by numbers, because it has no tokenizer', async (name) => {
    const folder = testData(`families/${name}`).path;
    const model = await loadModel(guest.device, folder, { onWarning: () => {} });
    await bring(await filesOf(folder));
    await field().fill('5 9 17 4 6');
    const answer = await said();
    const ids = [5, 9, 17, 4, 6];
    await guest.page.locator('.thumbnail').first().waitFor();
    if (model.encoder && model.decoder) {
      const { sequences } = await model.generate([ids], { numBeams: 1, doSample: false, maxNewTokens: 32 });
      expect(answer).toBe(`It writes: ${sequences[0]!.join(' ') || '(nothing)'}`);
      expect(await guest.page.locator('.choice label').allTextContents()).toEqual([
        'Encoder',
        'Masked decoder',
        'Cross attention',
      ]);
    } else if (model.decoder) {
      await expectGuesses(model, rowOf((await trace(model, null, ids)).probabilities, 4));
    } else if (name === 'bert-qa') {
      const { startLogits, endLogits } = model.forward({ inputIds: [ids] });
      const { names, percents } = await guesses();
      expect(names).toEqual(['begins', 'ends']);
      for (const [i, logits] of [startLogits!, endLogits!].entries()) {
        const powers = ((await logits.data()) as Float32Array).map(Math.exp);
        expect(percents[i]).toBeCloseTo((100 * powers[4]!) / powers.reduce((a, b) => a + b), 0);
      }
    } else if (name === 'roberta-sequence') {
      const logits = (await model.forward({ inputIds: [ids] }).logits!.data()) as Float32Array;
      const powers = logits.map(Math.exp);
      const most = powers.reduce((a, b) => Math.max(a, b)) / powers.reduce((a, b) => a + b);
      expect((await guesses()).percents[0]).toBeCloseTo(100 * most, 0);
    }
    await field().fill('5 nine');
    expect(await said()).toMatch(/reads token ids from 0 to \d+, not “nine”/);
    expect(guest.brought.trouble).toEqual([]);
    model.dispose();
  });

  const config = (values: object) => payload('config.json', JSON.stringify(values));
  it.each<[string, () => Promise<Payload[]>, RegExp]>([
    ['a family that is not known', async () => [config({ model_type: 'mamba' })], /mamba.*llama/],
    [
      'a model without weights',
      async () => (await filesOf(testData('families/gpt2').path)).filter(({ name }) => name === 'config.json'),
      /model\.safetensors/,
    ],
    ['a picture, but no model of images', async () => [payload('a.png', 'PNG')], /bring a model of images first/],
    ['a model of images and text', () => filesOf(testData('families/clip').path), /has images and text/],
    ['weights that break off', async () => broken(await filesOf(testData('families/gpt2').path)), /model\.safetensors/],
    ['two GGUF files', async () => ['a', 'b'].map((name) => payload(`${name}.gguf`, 'GGUF')), /2 GGUF files/],
    ['a GGUF file that is none', async () => [payload('a.gguf', 'no')], /a\.gguf|GGUF/],
    ['a recording, but no Whisper', async () => [payload('a.wav', 'RIFF')], /bring a Whisper first/],
  ])('reports %s, and keeps the previous model', async (_, files, complaint) => {
    await give(await files());
    await news(complaint);
    expect(await guest.brought.say('cab')).toMatch(/^[A-Z ]+$/);
    expect(guest.brought.trouble).toEqual([]);
  });

  function broken(files: readonly Payload[]): Payload[] {
    return files.map((file) =>
      file.name === 'model.safetensors' ? { ...file, buffer: file.buffer.subarray(0, 3000) } : file,
    );
  }

  it('reports which files a Whisper lacks for listening', async () => {
    await bring(await filesOf(testData('families/whisper').path));
    const recording = guest.page.locator('input[aria-label="A recording"]');
    await recording.setInputFiles([payload('a.wav', 'RIFF')]);
    await news(/preprocessor_config\.json/);
  });

  const whisper = realModel('whisper-tiny.en');
  it.skipIf(!whisper)(
    `a real Whisper: words, and where they are heard${whisper ? '' : NOT_FETCHED}`,
    { timeout: 240_000 },
    async () => {
      await guest.page.locator('input[aria-label="A model’s folder"]').setInputFiles(whisper!);
      await news('“whisper-tiny.en” is below');
      const wav = await readFile(`${testData('checkpoints/real').path}/jfk-16k.wav`);
      await give([payload('jfk.wav', wav)]);
      const { page } = guest.brought;
      await page.locator('.transcript').waitFor({ timeout: 180_000 });
      expect(await page.locator('.transcript').textContent()).toMatch(/ask not what your country can do for you/);
      expect(await page.locator('.thumbnail').count()).toBe(24);
      await takePicture(page, 'whisper light');
      expect(guest.brought.trouble).toEqual([]);
    },
  );

  it.each([
    ['dark', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
    ['narrow', { viewport: { width: 360, height: 740 }, colorScheme: 'light', isMobile: true, hasTouch: true }],
  ] as const)('is accessible and fits the page: %s', async (screen, options) => {
    const { page } = await guest.explorer.open('bring', options);
    await page.addScriptTag({ path: axe });
    await page
      .locator('input[type=file][multiple]')
      .setInputFiles(await filesOf(testData('checkpoints/tinystories-656k').path));
    await page.locator('.guest .thumbnail').first().waitFor();
    await page.waitForTimeout(300);
    await takePicture(page, `guest ${screen}`);
    const { violations } = await page.evaluate<AxeResults>('axe.run({ resultTypes: ["violations"] })');
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    expect(serious.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    await page.context().close();
  });
});
