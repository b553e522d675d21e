// Images in prompts: what pipelines, conversations and batches write is what the model writes after the inputs of `forward`.
import { afterAll, describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/core/errors.js';
import { ContinuousBatching, PromptCache } from '../../src/generate/index.js';
import type { CausalModel } from '../../src/models/causal-model.js';
import type { ModelInputs } from '../../src/models/inputs.js';
import type { ImageBytes } from '../../src/pretrained/processors/image.js';
import type { ImageTextProcessor } from '../../src/pretrained/processors/image-text/image-text-processor.js';
import { Chat } from '../../src/tasks/chat/index.js';
import { pipeline } from '../../src/tasks/pipeline.js';
import { PromptImages } from '../../src/tasks/prompt-images.js';
import { imageTextModel, type KindName, kinds, picture, picturesFor } from './image-text-model.js';

const names = Object.keys(kinds) as KindName[];
const models: CausalModel[] = [];
afterAll(() => {
  for (const model of models) model.dispose();
});
const load = async (name: KindName) => {
  const model = await imageTextModel(name);
  models.push(model);
  return model;
};

/** The ids of a prompt in which `null` stands for the next image, and the images as inputs of `forward`. */
async function direct(
  model: CausalModel,
  name: KindName,
  parts: readonly (string | null)[],
  images: readonly ImageBytes[],
) {
  const processor = model.processor as ImageTextProcessor;
  const { tokenizer } = model;
  const token = (id: number) => tokenizer?.idToToken(id) as string;
  const placeholder = token(model.images?.placeholder as number);
  const ready = images.map((image) => processor.process(image));
  const { mark } = kinds[name];
  const own = typeof processor.mark === 'number' ? token(processor.mark) : processor.mark;
  let next = 0;
  const text = parts.map((part) => {
    if (part !== null) return part;
    const pieces = ready[next++]?.pieces ?? [];
    const shown = pieces.map((piece) =>
      typeof piece === 'string' ? piece : 'rows' in piece ? placeholder.repeat(piece.rows) : token(piece.token),
    );
    return mark.replace(own, shown.join(''));
  });
  const inputIds = [(await tokenizer?.encodeAsync(text.join(''))) as number[]];
  const rows = ready[0]?.pixelValues.shape.slice(1) as number[];
  const data = ready.flatMap(({ pixelValues }) => Array.from(pixelValues.data));
  const inputs: ModelInputs = {
    inputIds,
    pixelValues: model.device.tensor(Float32Array.from(data), [data.length / rows.reduce((a, b) => a * b, 1), ...rows]),
  };
  for (const key of ['spatialShapes', 'pixelAttentionMask', 'imageGridThw'] as const) {
    const lists = ready.flatMap((each) => each[key] ?? []);
    if (lists.length > 0) inputs[key] = lists.map((row) => [...row]);
  }
  const places = ready.flatMap(({ imagePositionIds = [] }) => imagePositionIds.flat());
  if (places.length > 0)
    inputs.imagePositionIds = model.device.tensor(Int32Array.from(places), [
      ready.length,
      places.length / 2 / ready.length,
      2,
    ]);
  return inputs;
}

const GREEDY = { doSample: false, stopTokens: [] };

describe.each(names)('%s', (name) => {
  const photos = picturesFor(name);
  it('answers a conversation with images with the tokens that continue the inputs of forward', async () => {
    const model = await load(name);
    const [first, second, third] = photos as [ImageBytes, ImageBytes, ImageBytes];
    const content = [
      { type: 'text', text: 'w7' },
      { type: 'image', image: first },
      { type: 'text', text: 'w8 w9' },
      { type: 'image', image: second },
    ];
    const inputs = await direct(model, name, ['w5 w7 ', null, 'w8 w9 ', null, 'w6 '], [first, second]);
    const { sequences } = await model.generate(inputs, { ...GREEDY, maxNewTokens: 6 });
    const wanted = model.tokenizer?.decode(sequences[0] as number[]);

    const chat = new Chat(model, { generation: GREEDY });
    let text = '';
    for await (const piece of chat.send({ role: 'user', content }, { maxNewTokens: 6 })) text += piece;
    expect(text).toBe(wanted);

    const again = [
      { type: 'image', image: third },
      { type: 'text', text: 'w11' },
    ];
    const all = await direct(
      model,
      name,
      ['w5 w7 ', null, 'w8 w9 ', null, `w6 ${wanted} w5 `, null, 'w11 w6 '],
      [first, second, third],
    );
    const next = await model.generate(all, { ...GREEDY, maxNewTokens: 6 });
    text = '';
    for await (const piece of chat.send({ role: 'user', content: again }, { maxNewTokens: 6 })) text += piece;
    expect(text).toBe(model.tokenizer?.decode(next.sequences[0] as number[]));
    // PaliGemma's prompts are read as a whole; other conversations go on from what is in memory.
    if (name === 'paligemma') expect(chat.answer?.cachedTokens).toBe(0);
    else expect(chat.answer?.cachedTokens).toBeGreaterThan(10);
    expect(() => chat.toJSON()).toThrow(/has images/);
    chat.dispose();
  });

  it('gives the same through the pipeline', async () => {
    const model = await load(name);
    const [image] = photos as [ImageBytes];
    const inputs = await direct(model, name, ['w5 ', null, 'w7 w6 '], [image]);
    const { sequences } = await model.generate(inputs, { ...GREEDY, maxNewTokens: 6 });
    const pipe = await pipeline('image-text-to-text', model as never);
    const messages = [
      {
        role: 'user',
        content: [
          { type: 'image', image },
          { type: 'text', text: 'w7' },
        ],
      },
    ];
    const [result] = await pipe(messages, { max_new_tokens: 6, do_sample: false, eos_token_id: [] } as never);
    expect(result?.generated_text.at(-1)).toEqual({
      role: 'assistant',
      content: model.tokenizer?.decode(sequences[0] as number[]),
    });
    expect(result?.input_text).toBe(messages);
  });

  it('gives the same in batches and after prefixes that others have read', async () => {
    const model = await load(name);
    const [first, second] = photos as [ImageBytes, ImageBytes];
    const begin = ['w5 w7 ', null, 'w8 '];
    const prompts: number[][] = [];
    const wanted: number[][] = [];
    const read: { dispose(): void }[] = [];
    for (const image of [first, second]) {
      const inputs = await direct(model, name, [...begin, 'w6 '], [image]);
      const { prompts: own, dispose } = model.readPrompts(inputs);
      read.push({ dispose });
      for (const tail of [[], [9, 10, 11]]) {
        const prompt = [...(own[0] as number[]), ...tail];
        prompts.push(prompt);
        const { sequences } = await model.generate([prompt], { ...GREEDY, maxNewTokens: 5 });
        wanted.push(sequences[0] as number[]);
      }
    }
    const { sequences } = await model.generate(prompts, { ...GREEDY, maxNewTokens: 5 });
    expect(sequences).toEqual(wanted);
    const batching = new ContinuousBatching(model, { parallel: 2 });
    for (const [i, prompt] of prompts.entries()) {
      const tokens: number[] = [];
      for await (const { token } of batching.stream(prompt, { stopTokens: [], doSample: false, maxNewTokens: 5 }))
        tokens.push(token);
      expect(tokens, `prompt ${i}`).toEqual(wanted[i]);
    }
    await batching.dispose();
    for (const each of read) each.dispose();
    await expect(model.generate(prompts, GREEDY)).rejects.toThrow(/image that is not there/);
  });

  it('goes on from caches, shortened ones and forks with the bits of one pass', async () => {
    const model = await load(name);
    const lease = await (PromptImages.of(model) as PromptImages).read('test', photos);
    const { mark } = kinds[name];
    const [prompt, other] = await Promise.all(
      ['w8 w9', 'w9 w8'].map((text) => lease.encode(`w5 w7 ${mark} w8 w9 ${mark} w6 ${text} ${mark} w11 w6`)),
    );
    const run = async (ids: number[] | undefined, cache?: PromptCache) => {
      const options = { ...GREEDY, maxNewTokens: 3, ...(cache && { cache }) };
      const { sequences, logProbabilities } = await model.generate([ids as number[]], options);
      return { sequences, logProbabilities };
    };
    const [wanted, wantedOther] = [await run(prompt), await run(other)];
    // Some cuts are within an image.
    for (let cut = 3; cut < (prompt as number[]).length; cut += 7) {
      using cache = new PromptCache(model);
      await run(prompt?.slice(0, cut), cache);
      cache.truncate(cut);
      expect(await run(prompt, cache), `after ${cut}`).toEqual(wanted);
      cache.truncate(cut >> 1);
      expect(await run(prompt, cache), `cut at ${cut >> 1}`).toEqual(wanted);
      using fork = cache.fork();
      expect(await run(other, fork), 'of a fork').toEqual(wantedOther);
      using sharing = new PromptCache(model);
      sharing.share(cache, other as number[]);
      expect(await run(other, sharing), 'of a shared beginning').toEqual(wantedOther);
      expect(await run(prompt, cache), 'after a fork').toEqual(wanted);
    }
    lease.release();
  });
});

it('refuses images for a text model, and wrong numbers of images', async () => {
  const model = await load('gemma3_vl');
  const ids = [[1, 94, 94, 94, 94, 2]];
  const pixelValues = model.device.tensor(new Float32Array(2 * 3 * 24 * 24), [2, 3, 24, 24]);
  expect(() => model.forward({ inputIds: ids, pixelValues })).toThrow(/4 placeholders of images .* 8 rows/);
  const pipe = await pipeline('image-text-to-text', model as never);
  await expect(pipe([picture(37, 29, 3, 1)], 'w1 <start_of_image> <start_of_image>')).rejects.toThrow(ArgumentError);
});
