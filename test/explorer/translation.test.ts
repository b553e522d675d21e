// A translation model, as `Transformer.save` writes it, with one vocabulary of pieces of words for both languages.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDevice, fit, linearDecay, Transformer } from '../../src/index.js';
import type { ModelFiles } from '../../src/models/index.js';
import { BpeTokenizer } from '../../src/tokenizers/index.js';
import { describeWith } from '../equipment.js';
import { Explorer, type ExplorerPage, takePicture } from './explorer.js';

const words = [
  ['a', 'ein'],
  ['man', 'Mann'],
  ['dog', 'Hund'],
  ['sees', 'sieht'],
  ['child', 'Kind'],
  ['small', 'kleines'],
  ['hears', 'hört'],
] as const;

/** Sentences of so many of these words, with what they are in the other language, word by word. */
function sentences(): [string, string][] {
  const some = words.flatMap((first) => words.flatMap((second) => words.map((third) => [first, second, third])));
  return some.map((each) => [each.map(([en]) => en).join(' '), each.map(([, de]) => de).join(' ')]);
}

describeWith(['WebAssembly', 'Chromium'], 'the explorer shows a translation model', () => {
  let explorer: Explorer;
  let brought: ExplorerPage;
  let model: Transformer;
  let files: ModelFiles;

  beforeAll(async () => {
    explorer = await Explorer.start();
    brought = await explorer.open('bring', { viewport: { width: 1280, height: 900 } });
    const pairs = sentences();
    const special = { pad: '<pad>', bos: '<s>', eos: '</s>' };
    const tokenizer = BpeTokenizer.train(pairs.flat(), { vocabSize: 320, special });
    model = new Transformer(await createDevice({ threads: 2 }), {
      dModel: 48,
      heads: 2,
      encoderLayers: 1,
      decoderLayers: 1,
      dFF: 96,
      maxLength: 24,
      norm: 'pre',
      seed: 3,
      sourceVocab: tokenizer.vocabSize,
      targetVocab: tokenizer.vocabSize,
      tieEmbeddings: 'all',
    });
    model.tokenizers = { source: tokenizer, target: tokenizer };
    const examples = pairs.map(([en, de]) => ({
      source: tokenizer.encode(en),
      target: tokenizer.encode(de, { addSpecial: true }),
    }));
    await fit(model, examples, {
      steps: 300,
      batchTokens: 512,
      schedule: linearDecay(1e-2, { steps: 300, warmup: 30 }),
    });
    model.eval();
    files = await model.toFiles();
  });
  afterAll(() => explorer?.close());

  it('shows words of two languages and the cross attention between them', async () => {
    const { page } = brought;
    const payload = Object.entries(files).map(([name, bytes]) => ({
      name,
      mimeType: 'application/octet-stream',
      buffer: Buffer.from(bytes),
    }));
    await page.locator('input[type=file][multiple]').setInputFiles(payload);
    await page.getByRole('status').getByText('now shows “my model”').waitFor();
    const field = page.getByLabel('Sentence', { exact: true });
    await expect.poll(() => field.inputValue()).toContain(' ');
    await field.fill('a small dog');
    await expect.poll(() => brought.said()).toBe('ein kleines Hund');
    await brought.show('Look inside');
    await page.getByText('translated words look at words').waitFor();
    const names = async (kind: string) => {
      const all = await page.locator(`.head .arcs .tokens.${kind}`).first().locator('> *').allTextContents();
      return all.map((name) => name.trim());
    };
    const { source, target } = model.tokenizers;
    const piecesOf = (ids: readonly number[]) => ids.map((id) => target!.decode([id]).trim());
    expect(await names('letter')).toEqual(piecesOf(source!.encode('a small dog')));
    expect(await names('sound')).toEqual([...piecesOf(target!.encode('ein kleines Hund')), 'end']);
    await takePicture(page, 'translation');
    expect(brought.trouble).toEqual([]);
  });
});
