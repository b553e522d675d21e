// Florence-2's prompts and answers, as transformers gives them (florence.json), and its way through the pipeline.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PromptModel } from '../../src/models/prompt-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { Florence2Processor } from '../../src/pretrained/processors/florence2.js';
import { type ImageToText, pipeline } from '../../src/tasks/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { filesOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';
import florence from './florence.json' with { type: 'json' };
import { picture } from './image-text-model.js';

const processor = new Florence2Processor({}, 'preprocessor_config.json', {}, florence.settings);

it.each(florence.prompts)('makes the prompt of $text', ({ text, prompt }) => {
  expect(processor.prompt(text, 1, '<image>')).toBe(`<image><s>${prompt}</s>`);
});

it('refuses a text after a task that takes none', () => {
  expect(() => processor.prompt('<OD> cats', 1, '<image>')).toThrow(/expected <OD> alone/);
});

it.each(florence.answers)('reads the answer of $task for $size: $text', ({ task, text, size, answer }) => {
  expect(processor.postProcessGeneration(text, task, size as [number, number])).toEqual(answer);
});

describe('with a small model', () => {
  let model: PromptModel;
  let describeImage: ImageToText;
  const words = [
    'What',
    'does',
    'the',
    'image',
    'describe',
    '?',
    'Locate',
    'objects',
    'with',
    'category',
    'name',
    'in',
  ];

  beforeAll(async () => {
    const files = await filesOf(testData('families'), 'florence2');
    const json = (value: object) => new TextEncoder().encode(JSON.stringify(value));
    const special = ['<s>', '<pad>', '</s>'];
    const nameOf = (id: number) =>
      special[id] ??
      (id === 94 ? '<image>' : id < 20 ? (words[id - 3] ?? `w${id}`) : id < 94 ? `<loc_${id}>` : `w${id}`);
    const names = Array.from({ length: 97 }, (_, id) => nameOf(id));
    const added = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    const isAdded = (name: string) => name.startsWith('<');
    const tokenizer = {
      version: '1.0',
      added_tokens: names.flatMap((content, id) =>
        isAdded(content) ? [{ id, content, ...added, special: true }] : [],
      ),
      pre_tokenizer: { type: 'Whitespace' },
      post_processor: {
        type: 'RobertaProcessing',
        sep: ['</s>', 2],
        cls: ['<s>', 0],
        trim_offsets: true,
        add_prefix_space: false,
      },
      model: { type: 'WordLevel', vocab: Object.fromEntries(names.map((name, id) => [name, id])), unk_token: 'w19' },
    };
    model = (await loadModel(await deviceFor(isas.at(-1) as string, 2), {
      ...files,
      'tokenizer.json': json(tokenizer),
      'preprocessor_config.json': json({
        image_processor_type: 'CLIPImageProcessor',
        size: { height: 24, width: 24 },
        image_seq_length: 10,
        do_center_crop: false,
      }),
      'processor_config.json': json({ post_processor_config: florence.settings }),
    })) as unknown as PromptModel;
    describeImage = await pipeline('image-to-text', model as never);
  });
  afterAll(() => model.dispose());

  /** The model's text for an image and a prompt of these words, by its own inputs. */
  const written = async (image: ReturnType<typeof picture>, prompt: readonly string[]) => {
    const { pixelValues: pixels } = (model.processor as Florence2Processor).process(image);
    using pixelValues = model.device.tensor(pixels.data, pixels.shape);
    const ids = prompt.map((word) => words.indexOf(word) + 3);
    const inputIds = [[...Array(10).fill(94), 0, ...ids, 2]];
    return (await model.generate({ pixelValues, inputIds }, { maxNewTokens: 8 })).sequences[0] as number[];
  };

  it('captions by default', async () => {
    const image = picture(31, 20, 3, 1);
    const ids = await written(image, ['What', 'does', 'the', 'image', 'describe', '?']);
    const [result] = await describeImage(image, { max_new_tokens: 8 });
    const text = model.tokenizer?.decode(ids, { skipSpecial: false }) as string;
    expect(result?.answer).toEqual(processor.postProcessGeneration(text, '<CAPTION>', [31, 20]));
    expect(result?.generated_text).toBe(result?.answer?.['<CAPTION>']);
  });

  it('reads several images for a task, each with its own other ids', async () => {
    const images = [picture(31, 20, 3, 1), picture(20, 40, 4, 2), picture(9, 9, 1, 3)];
    const results = await describeImage(images, { prompt: '<OD>', maxNewTokens: 8 });
    const prompt = 'Locate the objects with category name in the image .'.split(' ');
    for (const [i, image] of images.entries()) {
      const text = model.tokenizer?.decode(
        await written(
          image,
          prompt.map((word) => (word === '.' ? 'w19' : word)),
        ),
        {
          skipSpecial: false,
        },
      );
      expect(text).toBeTypeOf('string');
      expect(Object.keys(results[i]?.[0]?.answer ?? {})).toEqual(['<OD>']);
    }
    const [alone] = await describeImage(images[1] as (typeof images)[0], { prompt: '<OD>', maxNewTokens: 8 });
    expect(results[1]?.[0]).toEqual(alone);
    expect(new Set(results.map((each) => each[0]?.generated_text)).size).toBeGreaterThan(1);
  });

  it('gives different images different texts, although encoder passes are recorded', async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 4; seed++) seen.add((await written(picture(24, 24, 3, seed * 50), ['What'])).join(' '));
    expect(seen.size).toBeGreaterThan(1);
  });
});
