// Answers of LayoutLMv3 beside those of transformers' pipeline (make_document_answers.py).
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, loadModel } from '../../src/index.js';
import type { ImageBytes } from '../../src/pretrained/processors/image.js';
import { pipeline, type WordBox } from '../../src/tasks/index.js';
import { supportedTasks } from '../../src/tasks/supported-tasks.js';
import content from './document-answers.json' with { type: 'json' };

const device = await createDevice({ threads: 2 });
const names = [
  'config.json',
  'model.safetensors',
  'preprocessor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
];
const files = Object.fromEntries(
  names.map((name) => [name, new Uint8Array(readFileSync(new URL(`./layoutlmv3/${name}`, import.meta.url)))]),
);
const ask = await pipeline('document-question-answering', files, { device });
afterAll(async () => {
  await ask.dispose();
  device.dispose();
});

const words = content.words as unknown as readonly WordBox[];
const [width, height] = content.size as [number, number];
const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7 + ((i * i) % 97)) % 256);
const page: ImageBytes = { width, height, data };

describe('document-question-answering by LayoutLMv3', () => {
  it.each(content.cases)(
    '$question, $options, with an image: $image',
    async ({ question, options, image, answers }) => {
      const found = await ask(image ? page : null, question, { ...options, word_boxes: words });
      // Answers that are nearly as likely can change places.
      const order = (list: readonly { score?: number; start?: number; end?: number; answer: string | null }[]) =>
        list.map(({ answer, start, end }) => `${answer} ${start} ${end}`).sort();
      expect(order(found)).toEqual(order(answers));
      for (const [i, { score }] of found.entries())
        expect(Math.abs(score! - answers[i]!.score)).toBeLessThan(1e-4 * answers[i]!.score + 1e-7);
    },
  );

  it('finds the same in words that begin or end with spaces, and skips empty ones', async () => {
    const question = 'Who?';
    const spaced = words.map(([word, box], i): WordBox => [i % 3 === 0 ? ` ${word}` : word, box]);
    const [first] = await ask(null, question, { word_boxes: words });
    const [second] = await ask(null, question, { word_boxes: spaced });
    expect(second).toMatchObject({ score: first!.score, start: first!.start, end: first!.end });
    const [third] = await ask(null, question, { word_boxes: [['', [0, 0, 0, 0]], ...words] });
    expect(third).toMatchObject({ score: first!.score, start: first!.start! + 1, end: first!.end! + 1 });
  });

  it('refuses other words, and says how they are given', async () => {
    const wrong = (word_boxes: unknown) => ask(page, 'Who?', { word_boxes: word_boxes as never });
    await expect(ask(page, 'Who?')).rejects.toThrow(
      'layoutlmv3 reads words with their boxes, but word_boxes is missing: give [[word, [left, top, right, bottom]], …]',
    );
    await expect(wrong([])).rejects.toThrow('word_boxes is an array, expected [[word');
    await expect(wrong([['a', [0, 0, 1]]])).rejects.toThrow('word_boxes[0] is ["a",[0,0,1]]');
    await expect(wrong([words[0], ['a', [0, 0, 1, 1001]]])).rejects.toThrow('word_boxes[1] is');
    await expect(ask(page, 'Who?', { word_boxes: words, max_new_tokens: 3 })).rejects.toThrow('max_new_tokens');
    await expect(ask(page, 3 as never, { word_boxes: words })).rejects.toThrow('the question is 3');
  });

  it('is listed among the tasks of the model', async () => {
    const model = await loadModel(device, files);
    expect(await supportedTasks(model as never, null)).toContain('document-question-answering');
    model.dispose();
  });
});
