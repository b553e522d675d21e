// Tasks of images whose results are maps or texts, with small random checkpoints and what transformers makes of them.
import { afterAll, describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { createDevice, type Device } from '../../src/index.js';
import { decodeImage } from '../../src/pretrained/processors/decode-image.js';
import type { ImageBytes } from '../../src/pretrained/processors/image.js';
import { pipeline } from '../../src/tasks/index.js';
import { filesOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';
import expected from './image-tasks.json' with { type: 'json' };

const data = testData('families');
const [WIDTH, HEIGHT] = [23, 31];

/** Same as `picture` in make_image_tasks.py. */
const picture: ImageBytes = {
  width: WIDTH,
  height: HEIGHT,
  data: Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => {
    const [x, y, c] = [Math.floor(i / 3) % WIDTH, Math.floor(i / 3 / WIDTH), i % 3];
    return (x * x * 3 + y * 11 * (c + 1) + Math.floor(x / 5) * Math.floor(y / 7) * 40) % 256;
  }),
};

const words = Array.from({ length: 97 }, (_, id) => `w${id}`);
for (const [i, word] of ['<s_docvqa>', '<s_question>', 'q', '</s_question>', '<s_answer>'].entries())
  words[7 + i] = word;
words[expected.answer.at(-1)!] = '</s_answer>';
const tokenizer = {
  version: '1.0',
  added_tokens: words.flatMap((content, id) =>
    content.startsWith('<')
      ? [{ id, content, special: false, single_word: false, lstrip: false, rstrip: false, normalized: false }]
      : [],
  ),
  pre_tokenizer: { type: 'Whitespace' },
  model: { type: 'WordLevel', unk_token: 'w0', vocab: Object.fromEntries(words.map((word, id) => [word, id])) },
};

const encoded = (json: object) => new TextEncoder().encode(JSON.stringify(json));

/** The files of a checkpoint, with a processor and changes of its config. */
async function checkpoint(name: string, processor: object, changes: object = {}): Promise<Record<string, Uint8Array>> {
  const files = await filesOf(data, name);
  const config = { ...JSON.parse(new TextDecoder().decode(files['config.json'])), ...changes };
  return {
    ...files,
    'config.json': encoded(config),
    'preprocessor_config.json': encoded(processor),
    'tokenizer.json': encoded(tokenizer),
  };
}

const segformer = { image_processor_type: 'SegformerImageProcessor', size: { height: 64, width: 32 } };
const labels = { id2label: { 0: 'Background', 1: 'b', 2: 'c', 3: 'd', 4: 'e' } };
const vit = { image_processor_type: 'ViTImageProcessor', size: { height: 24, width: 24 } };

describe('tasks of images', async () => {
  const device: Device = await createDevice();
  afterAll(() => device.dispose());

  it('segments an image', async () => {
    await using segment = await pipeline('image-segmentation', await checkpoint('segformer', segformer), { device });
    const segments = await segment(picture);
    const present = [...new Set(expected.classes)].sort((a, b) => a - b);
    expect(segments.map(({ label }) => label)).toEqual(present.map((id) => `LABEL_${id}`));
    const classes = new Int32Array(WIDTH * HEIGHT);
    for (const [i, { mask, score }] of segments.entries()) {
      expect([mask.width, mask.height, score]).toEqual([WIDTH, HEIGHT, null]);
      for (let at = 0; at < classes.length; at++) if (mask.data[at] === 255) classes[at] = present[i]!;
    }
    expect(Array.from(classes)).toEqual(expected.classes);
    const [[small] = []] = await segment([picture], { target_sizes: [[4, 3]] });
    expect([small!.mask.width, small!.mask.height]).toEqual([3, 4]);
    await expect(segment(picture, { subtask: 'panoptic' } as never)).rejects.toThrow(/subtask/);
    await expect(segment(picture, { target_sizes: [[0, 3]] })).rejects.toThrow(/target_sizes/);
  });

  it('removes the background, for models that label one', async () => {
    await using remove = await pipeline('background-removal', await checkpoint('segformer', segformer, labels), {
      device,
    });
    const result = await remove(picture);
    expect(Array.from(result.data).filter((_, i) => i % 4 === 3)).toEqual(
      expected.classes.map((id) => (id === 0 ? 0 : 255)),
    );
    expect(Array.from(result.data).filter((_, i) => i % 4 !== 3)).toEqual(Array.from(picture.data));
    const other = pipeline('background-removal', await checkpoint('segformer', segformer), { device });
    await expect(other).rejects.toThrow(/expected a label 'background'/);
  });

  it('estimates depth', async () => {
    const dpt = {
      image_processor_type: 'DPTImageProcessor',
      size: { height: 28, width: 28 },
      ensure_multiple_of: 7,
      keep_aspect_ratio: true,
    };
    await using estimate = await pipeline('depth-estimation', await checkpoint('depth_anything', dpt), { device });
    const { predicted_depth: depth, depth: shown } = await estimate(picture);
    expect(depth.dims).toEqual([HEIGHT, WIDTH]);
    const most = Math.max(...expected.depth);
    // The limit of test/pretrained/reference.ts for outputs.
    for (const [i, value] of expected.depth.entries())
      expect(Math.abs(depth.data[i]! - value)).toBeLessThan(2e-4 * most);
    expect([Math.min(...shown.data), Math.max(...shown.data)]).toEqual([0, 255]);
  });

  it('writes captions, and answers questions about documents', async () => {
    const files = await checkpoint('trocr', vit, { eos_token_id: null });
    await using caption = await pipeline('image-to-text', files, { device });
    // The start token is shown, as in transformers, because it is not a special one here.
    const text = expected.caption.map((id) => words[id]).join(' ');
    expect(await caption(picture, { max_new_tokens: 8 })).toEqual([{ generated_text: text }]);
    expect(await caption([picture, picture], { max_new_tokens: 8 })).toEqual(Array(2).fill([{ generated_text: text }]));
    await using answer = await pipeline('document-question-answering', files, { device });
    const written = expected.answer.slice(6);
    const end = written.indexOf(expected.answer.at(-1)!);
    const found = written
      .slice(0, end)
      .map((id) => words[id])
      .join(' ');
    expect(await answer(picture, 'q', { max_new_tokens: 5 })).toEqual([{ answer: found }]);
    await expect(answer(picture, 3 as never)).rejects.toThrow(/the question is 3/);
  });

  it('refuses models of other tasks', async () => {
    const files = await checkpoint('trocr', vit);
    await expect(pipeline('image-segmentation', files, { device })).rejects.toThrow(FormatError);
    await expect(pipeline('depth-estimation', files, { device })).rejects.toThrow(FormatError);
  });
});

describe('hostile images', () => {
  it('refuses a header of 60000 × 60000 pixels before memory is allocated', async () => {
    const png = new Uint8Array(45);
    png.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52]);
    new DataView(png.buffer).setUint32(16, 60000);
    new DataView(png.buffer).setUint32(20, 60000);
    png.set([8, 6, 0, 0, 0], 24);
    const before = process.memoryUsage().rss;
    await expect(decodeImage(png)).rejects.toThrow(FormatError);
    expect(process.memoryUsage().rss - before).toBeLessThan(1e9); // the image would take 14 GB
  });
});
