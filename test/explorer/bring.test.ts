import { afterAll, beforeAll, expect, it } from 'vitest';
import { CharTokenizer, createDevice, type Device, Transformer, type TransformerOptions } from '../../src/index.js';
import type { ModelFiles } from '../../src/models/index.js';
import { describeWith } from '../equipment.js';
import { Explorer, type ExplorerPage } from './explorer.js';

const special = { pad: '<pad>', bos: '<s>', eos: '</s>' };
const letters = CharTokenizer.train('abcxyzßé', { special });

describeWith(['WebAssembly', 'Chromium'], 'the explorer shows a model that is brought', () => {
  let explorer: Explorer;
  let brought: ExplorerPage;
  let device: Device;
  let model: Transformer;
  let files: ModelFiles;

  beforeAll(async () => {
    explorer = await Explorer.start();
    brought = await explorer.open('bring');
    device = await createDevice();
    model = make({ positions: 'relativeBias' });
    files = await model.toFiles();
  });
  afterAll(() => explorer?.close());

  function make(options: Partial<TransformerOptions>): Transformer {
    const sizes = { dModel: 24, heads: 3, encoderLayers: 1, decoderLayers: 2, dFF: 40, maxLength: 12, seed: 5 };
    const vocabularies = { sourceVocab: letters.vocabSize, targetVocab: letters.vocabSize };
    const made = new Transformer(device, { ...sizes, ...vocabularies, ...options });
    made.tokenizers = { source: letters, target: letters };
    return made.eval();
  }

  const payload = (some: ModelFiles) =>
    Object.entries(some).map(([name, bytes]) => ({
      name,
      mimeType: 'application/octet-stream',
      buffer: Buffer.from(bytes),
    }));

  const give = (some: ModelFiles) => brought.page.locator('input[type=file][multiple]').setInputFiles(payload(some));
  const news = (text: string | RegExp) => brought.page.getByRole('status').getByText(text).waitFor();

  /** Output of the model in Node for a word, in the page's form. */
  async function inNode(word: string): Promise<string> {
    const { sequences } = await model.generate([letters.encode(word)]);
    const names = (sequences[0] as number[]).map((id) =>
      id === letters.bosId ? 'start' : id === letters.padId ? 'pad' : letters.idToToken(id),
    );
    return names.join(' ');
  }

  it('loads a model from chosen files, and every part works on it', async () => {
    await give(files);
    await news('now shows “my model”');
    expect(await brought.page.locator('.model-card').textContent()).toMatch(/1 encoder, 2 decoder.*relativeBias/);
    for (const word of ['abc', 'xyzßé']) expect(await brought.say(word)).toBe(await inNode(word));
    for (const part of ['Pronounce', 'Look inside', 'Follow the numbers', 'Positions', 'Bring a model']) {
      await brought.show(part);
      await brought.page.locator('main .figure').first().waitFor();
    }
    expect(brought.trouble).toEqual([]);
  });

  it('loads a model from dropped files', async () => {
    const other = make({ norm: 'pre', positions: 'learned' });
    const dropped = payload(await other.toFiles()).map(({ name, buffer }) => [name, [...buffer]] as const);
    await brought.page.locator('.drop').evaluate((target, list) => {
      const dataTransfer = new DataTransfer();
      for (const [name, bytes] of list) dataTransfer.items.add(new File([Uint8Array.from(bytes)], name));
      target.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    }, dropped);
    await brought.page.locator('.model-card').getByText('learned').waitFor();
    await give(files);
    await brought.page.locator('.model-card').getByText('relativeBias').waitFor();
  });

  it('keeps its model when files are dropped elsewhere', async () => {
    const refused = await brought.page.locator('h1').evaluate((target) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(['{}'], 'config.json'));
      const events = ['dragover', 'drop'].map(
        (type) => new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }),
      );
      for (const event of events) target.dispatchEvent(event);
      return events.map(({ defaultPrevented }) => defaultPrevented);
    });
    expect(refused).toEqual([true, true]);
  });

  const text = (content: string) => new TextEncoder().encode(content);
  it.each<[string, () => ModelFiles | Promise<ModelFiles>, RegExp]>([
    [
      'a text',
      () => ({ 'cat.txt': text('cat') }),
      /not a model: config.json and model.safetensors are missing.*“cat.txt”/,
    ],
    ['half a model', () => ({ 'config.json': files['config.json']! }), /model.safetensors is missing/],
    ['a config that is not JSON', () => ({ ...files, 'config.json': text('{') }), /config.json is not JSON/],
    ['another config', () => ({ ...files, 'config.json': text('{}') }), /not of a model saved by this package/],
    [
      'weights that break off',
      () => ({ ...files, 'model.safetensors': files['model.safetensors']!.slice(0, 2000) }),
      /model.safetensors is damaged: the header/,
    ],
    ['weights of another model', async () => ({ ...files, ...(await weightsOf({ dFF: 41 })) }), /not of the model/],
    ['no tokenizers', () => without('source-tokenizer.json'), /saved without tokenizers/],
    ['a broken tokenizer', () => ({ ...files, 'source-tokenizer.json': text('{}') }), /tokenizer/],
    ['an encoder alone', () => make({ decoderLayers: 0 }).toFiles(), /“my model” has no decoder/],
  ])('reports %s, and keeps the previous model', async (_, bring, complaint) => {
    await give(await bring());
    await news(complaint);
    expect(await brought.say('cab')).toBe(await inNode('cab'));
    expect(brought.trouble).toEqual([]);
  });

  it('reports weights that are not finite, and does not wait for an answer', async () => {
    const weights = Buffer.from(files['model.safetensors'] as Uint8Array);
    for (let at = weights.length - 4000; at < weights.length; at += 4) weights.writeFloatLE(Number.NaN, at);
    await brought.say('cab');
    await give({ ...files, 'model.safetensors': weights });
    const { page } = brought;
    await page.getByRole('alert').getByText('some scores are NaN').waitFor();
    expect(await brought.said()).toBe('The model has no answer.');
    await page.getByRole('button', { name: 'Close' }).click();
    await give(files);
    await expect.poll(() => brought.said()).toBe(await inNode('cab'));
    expect(brought.trouble).toEqual([]);
  });

  async function weightsOf(options: Parameters<typeof make>[0]): Promise<ModelFiles> {
    return { 'model.safetensors': (await make(options).toFiles())['model.safetensors'] as Uint8Array };
  }

  function without(name: string): ModelFiles {
    return Object.fromEntries(Object.entries(files).filter(([other]) => other !== name));
  }
});
