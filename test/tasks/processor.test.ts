// AutoProcessor beside transformers.js (make_processor_programs.mjs), and models that read its results, beside transformers
// and the pipelines of transformers.js (programs/results.json).
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AutoModel,
  AutoModelForAudioClassification,
  AutoModelForCTC,
  AutoModelForDepthEstimation,
  AutoModelForImageClassification,
  AutoModelForImageTextToText,
  AutoModelForMaskGeneration,
  AutoModelForObjectDetection,
  AutoModelForSpeechSeq2Seq,
  AutoModelForVision2Seq,
  AutoProcessor,
  AutoTokenizer,
  CLIPModel,
  CLIPTextModelWithProjection,
  CLIPVisionModelWithProjection,
  ClapAudioModelWithProjection,
  ClapModel,
  ClapTextModelWithProjection,
  env,
  Florence2ForConditionalGeneration,
  HostTensor,
  load_image,
  MoonshineForConditionalGeneration,
  pipeline,
  RawImage,
  SamModel,
  SiglipModel,
  SiglipTextModel,
  SiglipVisionModel,
  softmax,
  type TransformersInputs,
  WhisperForConditionalGeneration,
} from '../../src/tasks/index.js';
import { filesOf, referenceOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';
import { expectAlike } from './alike.js';
import { processorPrograms, sound } from './processor-programs.js';
import { writeModels } from './program-models.js';
import recorded from './programs/processors.json' with { type: 'json' };
import results from './programs/results.json' with { type: 'json' };
import { plain } from './programs.js';

const models = mkdtempSync(join(tmpdir(), 'programs-'));
const defaults = { ...env };
beforeAll(() => {
  writeModels(models);
  env.localModelPath = models;
  env.allowRemoteModels = false;
});
afterAll(() => {
  Object.assign(env, defaults);
  rmSync(models, { recursive: true });
});
const picture = (name: string) => fileURLToPath(new URL(`programs/${name}.png`, import.meta.url));

/** Every 37th number of long lists, as the recorded results have them. */
const short = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(short);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      key,
      key === 'data' && (each as number[]).length > 400
        ? (each as number[]).filter((_, i) => i % 37 === 0)
        : short(each),
    ]),
  );
};

describe('AutoProcessor', () => {
  it.each(Object.keys(processorPrograms))('prepares the inputs of %s as transformers.js does', async (name) => {
    const api = {
      AutoProcessor,
      load_image,
      tensor: (data: Float32Array, dims: number[]) => new HostTensor(data, dims),
    };
    const actual = await processorPrograms[name]!(api, picture('square'));
    expectAlike(short(plain(actual)), (recorded as Record<string, unknown>)[name], name);
  });
});

type Scored = { readonly score: number; readonly label: string };
/** Results of a pipeline of transformers.js. */
const resultOf = (task: string) => (results as unknown as Record<string, unknown[]>)[task]!;
const expectScores = (scores: ArrayLike<number>, labels: readonly string[], expected: unknown) =>
  expectAlike(
    Object.fromEntries(labels.map((label, i) => [label, scores[i]])),
    Object.fromEntries((expected as Scored[]).map(({ label, score }) => [label, score])),
    'scores',
  );
const close = (actual: HostTensor | undefined, expected: HostTensor | undefined) => {
  expect(actual!.dims).toEqual(expected!.dims);
  for (const [i, value] of expected!.data.entries()) expect(actual!.data[i]).toBeCloseTo(value, 4);
};

/** Inputs of transformers' reference of a checkpoint, as tensors of a processor. */
async function hostTensors(name: string): Promise<Required<TransformersInputs>> {
  const entries = [...(await referenceOf(testData('families'), name))].flatMap(([key, entry]) => {
    if (!/^(input_|pixel_|attention_mask|spatial|image_grid)/.test(key)) return [];
    const data = entry.data() as Float32Array;
    const isFloat = entry.dtype === 'F32';
    return [[key, new HostTensor(isFloat ? data : BigInt64Array.from(data, BigInt), entry.shape)] as const];
  });
  return Object.fromEntries(entries) as unknown as Required<TransformersInputs>;
}

/** Tokens that transformers wrote. */
const greedyOf = async <Greedy>(name: string): Promise<Greedy> =>
  (await testData('families').json<{ greedy: Greedy }>(`${name}/reference.json`)).greedy;

describe('models that read the results of AutoProcessor', () => {
  it('compare images and texts by CLIP, and give the vectors of each', async () => {
    const [tokenizer, processor] = await Promise.all([
      AutoTokenizer.from_pretrained('org/clip'),
      AutoProcessor.from_pretrained('org/clip'),
    ]);
    const texts = ['This is a photo of a cat', 'This is a photo of a dog', 'This is a photo of the park'];
    const [text_inputs, image_inputs] = [
      tokenizer(texts, { padding: true, truncation: true }),
      await processor(await load_image(picture('square'))),
    ];
    const model = await CLIPModel.from_pretrained('org/clip');
    const { logits_per_image, text_embeds, image_embeds } = await model({ ...text_inputs, ...image_inputs });
    expectScores(
      softmax(logits_per_image!.data),
      ['a cat', 'a dog', 'the park'],
      resultOf('zero-shot-image-classification')[0],
    );
    const texter = await CLIPTextModelWithProjection.from_pretrained('org/clip');
    const seer = await CLIPVisionModelWithProjection.from_pretrained('org/clip');
    const [text, image] = [await texter(text_inputs), await seer(image_inputs)];
    close(text.text_embeds?.normalize(), text_embeds);
    close(image.image_embeds?.normalize(), image_embeds);
    expect(Object.keys(text).sort()).toEqual(['last_hidden_state', 'text_embeds']);
    expect((await processor(texts[0])).input_ids!.tolist()).toEqual(tokenizer(texts[0]!).input_ids.tolist());
    await Promise.all([model, texter, seer].map((each) => each.dispose()));
  });

  it('compare images and texts by SigLIP, and give the vectors of each', async () => {
    const files = await filesOf(testData('families'), 'siglip');
    const { pixel_values, input_ids } = await hostTensors('siglip');
    const model = await SiglipModel.from_pretrained(files);
    const both = await model({ pixel_values, input_ids });
    const [texter, seer] = [
      await SiglipTextModel.from_pretrained(files),
      await SiglipVisionModel.from_pretrained(files),
    ];
    const [text, image] = [await texter({ input_ids }), await seer({ pixel_values })];
    close(text.pooler_output?.normalize(), both.text_embeds);
    close(image.pooler_output?.normalize(), both.image_embeds);
    await Promise.all([model, texter, seer].map((each) => each.dispose()));
  });

  it('compare sounds and texts by CLAP, and give the vectors of each', async () => {
    const [tokenizer, processor] = await Promise.all([
      AutoTokenizer.from_pretrained('org/clap'),
      AutoProcessor.from_pretrained('org/clap'),
    ]);
    expect(processor.sampling_rate).toBeGreaterThan(0);
    const text_inputs = tokenizer(['w5 w6 w15', 'w5 w6 w20 w30 w40'], { padding: true, truncation: true });
    const audio_inputs = await processor(sound(8000));
    const model = await ClapModel.from_pretrained('org/clap');
    const { logits_per_audio, text_embeds, audio_embeds } = await model({ ...text_inputs, ...audio_inputs });
    const [expected] = resultOf('zero-shot-audio-classification');
    expectScores(softmax(logits_per_audio!.data), ['w15', 'w20 w30 w40'], expected);
    const texter = await ClapTextModelWithProjection.from_pretrained('org/clap');
    const hearer = await ClapAudioModelWithProjection.from_pretrained('org/clap');
    close((await texter(text_inputs)).text_embeds?.normalize(), text_embeds);
    close((await hearer(audio_inputs)).audio_embeds?.normalize(), audio_embeds);
    await Promise.all([model, texter, hearer].map((each) => each.dispose()));
  });

  it('find masks by SAM', async () => {
    const processor = await AutoProcessor.from_pretrained('org/sam');
    const image = new RawImage(
      new Uint8Array(61 * 83 * 3).map((_, i) => (i * i) % 251),
      83,
      61,
      3,
    );
    const input_points = [[[5, 9]], [[40, 30]]];
    const inputs = await processor(image, { input_points });
    for (const Class of [SamModel, AutoModelForMaskGeneration]) {
      const model = await Class.from_pretrained('org/sam');
      const { pred_masks, iou_scores } = await model(inputs);
      const [masks] = await processor.post_process_masks(
        pred_masks!,
        inputs.original_sizes,
        inputs.reshaped_input_sizes,
      );
      await using generate = await pipeline('mask-generation', model.model as never);
      const expected = await generate(image, { input_points });
      expect(masks!.dims).toEqual([2, 3, 61, 83]);
      expect(Array.from(masks!.data, (value) => value * 255)).toEqual(
        expected.masks.flatMap((mask) => Array.from(mask.data)),
      );
      expectAlike(Array.from(iou_scores!.data), expected.scores, 'scores');
      await model.dispose();
    }
  });

  it('classify and locate', async () => {
    const run = async (Class: typeof AutoModel, name: string, input: RawImage | Float32Array) => {
      const processor = await AutoProcessor.from_pretrained(`org/${name}`);
      const model = await Class.from_pretrained(`org/${name}`);
      const output = await model(await processor(input));
      await model.dispose();
      return { output, labels: Object.values(model.config.id2label ?? {}) as string[] };
    };
    const image = await load_image(picture('square'));
    const seen = await run(AutoModelForImageClassification, 'vit-image', image);
    expectScores(softmax(seen.output.logits!.data), seen.labels, resultOf('image-classification')[0]);
    const heard = await run(AutoModelForAudioClassification, 'hubert-classes', sound(900));
    expectScores(softmax(heard.output.logits!.data), heard.labels, resultOf('audio-classification')[0]);
    const { output } = await run(AutoModelForObjectDetection, 'detr', image);
    const [found] = resultOf('object-detection') as [Scored[]];
    const best = Array.from(output.logits!.at(0), (row) => Math.max(...softmax(row.data).slice(0, -1)));
    expect(Math.max(...best)).toBeCloseTo(found[0]!.score, 4);
    const deep = await run(AutoModelForDepthEstimation, 'depth_anything', image);
    expect(deep.output.predicted_depth!.dims).toHaveLength(3);
    const body = await run(AutoModel, 'vit-body', image);
    expectAlike(plain(body.output.last_hidden_state), resultOf('image-feature-extraction')[0], 'features');
  });

  it('write the text of sounds', async () => {
    const processor = await AutoProcessor.from_pretrained('org/wav2vec2');
    const ctc = await AutoModelForCTC.from_pretrained('org/wav2vec2');
    const { logits } = await ctc(await processor(sound(1200)));
    const ids = Array.from(logits!.at(0), ({ data }) => data.indexOf(Math.max(...data)));
    expect(processor.tokenizer!.decode(ids)).toBe(
      (resultOf('automatic-speech-recognition')[0] as { text: string }).text,
    );
    await ctc.dispose();
    const greedy = await greedyOf<number[][]>('moonshine');
    const { input_values } = await hostTensors('moonshine');
    for (const Class of [MoonshineForConditionalGeneration, AutoModelForSpeechSeq2Seq]) {
      const model = await Class.from_pretrained(await filesOf(testData('families'), 'moonshine'));
      const outputs = await model.generate({ input_values: input_values!, max_new_tokens: greedy[0]!.length - 1 });
      expect(outputs.at(0).tolist()).toEqual(greedy[0]!.map(BigInt));
      await model.dispose();
    }
  });

  it('begin with the tokens of a language and a task, and write what transformers writes, by Whisper', async () => {
    const folder = fileURLToPath(new URL('whisper', import.meta.url));
    const processor = await AutoProcessor.from_pretrained(folder);
    const model = await WhisperForConditionalGeneration.from_pretrained(folder);
    const inputs = await processor(sound(40_000));
    for (const [options, names] of [
      [{ language: 'german' }, ['startoftranscript', 'de', 'transcribe', 'notimestamps']],
      [{ task: 'translate' }, ['startoftranscript', 'en', 'translate', 'notimestamps']],
      [{ language: 'de', return_timestamps: true }, ['startoftranscript', 'de', 'transcribe']],
    ] as const) {
      const written = await model.generate({ ...inputs, ...options, max_new_tokens: 5 });
      const start = names.map((name) => processor.tokenizer!.convert_tokens_to_ids(`<|${name}|>`));
      expect(Array.from(written.at(0).data, Number).slice(0, start.length)).toEqual(start);
      expect(written.dims[1]).toBeLessThanOrEqual(start.length + 5);
      if ('return_timestamps' in options) continue;
      const decoder_input_ids = written.slice(null, [0, start.length]);
      const again = await model.generate({ ...inputs, decoder_input_ids, max_new_tokens: 5 });
      expect(again.tolist()).toEqual(written.tolist());
    }
    await expect(model.generate({ ...inputs, language: 'klingon' })).rejects.toThrow('klingon');
    await model.dispose();
    const small = await AutoModelForSpeechSeq2Seq.from_pretrained('org/whisper');
    const { input_features } = await hostTensors('whisper');
    const greedy = await greedyOf<number[][]>('whisper');
    const [start] = greedy[0]!;
    const decoder_input_ids = new HostTensor(BigInt64Array.of(BigInt(start!), BigInt(start!)), [2, 1]);
    const outputs = await small.generate(input_features!, { decoder_input_ids, max_new_tokens: greedy[0]!.length - 1 });
    expect(outputs.tolist()).toEqual(greedy.map((row) => row.map(BigInt)));
    await small.dispose();
  });

  it('write about images', async () => {
    const image = await load_image(picture('small'));
    const processor = await AutoProcessor.from_pretrained('org/vision-gpt2');
    const captioner = await AutoModelForVision2Seq.from_pretrained('org/vision-gpt2');
    const inputs = await processor(image);
    const written = await captioner.generate({ ...inputs, max_new_tokens: 6 });
    const [[{ generated_text }]] = resultOf('image-to-text') as [[{ generated_text: string }]];
    expect(processor.batch_decode(written, { skip_special_tokens: true })[0]!.trim()).toBe(generated_text);
    const started = await captioner.generate({
      ...inputs,
      decoder_input_ids: written.slice(null, [0, 3]),
      max_new_tokens: 4,
    });
    expect(started.tolist()).toEqual(written.tolist());
    await captioner.dispose();
  });

  it('answer prompts with images by Florence-2 and SmolVLM', async () => {
    const { pixel_values, input_ids, attention_mask } = await hostTensors('florence2');
    const florence = await Florence2ForConditionalGeneration.from_pretrained('org/florence2');
    const greedy = await greedyOf<number[][]>('florence2');
    const max_new_tokens = greedy[0]!.length - 1;
    const outputs = await florence.generate({ input_ids, attention_mask, pixel_values, max_new_tokens } as object);
    expect(outputs.tolist()).toEqual(greedy.map((row) => row.map(BigInt)));
    const processor = await AutoProcessor.from_pretrained('org/florence2');
    const image = await load_image(picture('square'));
    const inputs = await processor(image, processor.construct_prompts('<CAPTION>'));
    const written = await florence.generate({ ...inputs, max_new_tokens: 5 });
    await using describeImage = await pipeline('image-to-text', florence.model as never);
    const [expected] = await describeImage(image, { prompt: '<CAPTION>', max_new_tokens: 5 });
    expect(processor.batch_decode(written, { skip_special_tokens: true })[0]!.trim()).toBe(
      (expected as { generated_text: string }).generated_text,
    );
    const decoder_input_ids = new HostTensor(BigInt64Array.of(2n), [1, 1]);
    expect((await florence({ ...inputs, decoder_input_ids })).logits!.dims).toEqual([1, 1, 97]);
    await florence.dispose();

    const smol = await AutoModelForImageTextToText.from_pretrained(await filesOf(testData('families'), 'smolvlm'));
    const given = await hostTensors('smolvlm');
    const rows = await greedyOf<{ prompt: number[]; ids: number[] }[]>('smolvlm');
    const ids = await smol.generate({ ...given, max_new_tokens: 16 });
    for (const [i, { prompt, ids: expected }] of rows.entries())
      expect(Array.from(ids.at(i).data, Number).slice(given.input_ids!.dims[1])).toEqual(expected.slice(prompt.length));
    await smol.dispose();
  });

  it('answer prompts with marks of images as the pipeline does', async () => {
    const processor = await AutoProcessor.from_pretrained('org/paligemma');
    const model = await AutoModelForImageTextToText.from_pretrained('org/paligemma');
    const image = await load_image(picture('square'));
    await using read = await pipeline('image-text-to-text', model.model as never);
    const [{ generated_text }] = (await read(image, 'w5 w6', { max_new_tokens: 4 })) as unknown as [
      { generated_text: string },
    ];
    for (const inputs of [await processor(image, 'w5 w6'), await processor('w5 w6', [image])]) {
      const ids = await model.generate({ ...inputs, max_new_tokens: 4 });
      const text = processor.batch_decode(ids.slice(null, [inputs.input_ids!.dims[1] as number, null]))[0]!;
      expect(generated_text.endsWith(text)).toBe(true);
      const { logits } = await model(inputs);
      const last = logits!.at(0).at(-1).data;
      expect(last.indexOf(Math.max(...last))).toBe(Number(ids.at(0).data[inputs.input_ids!.dims[1] as number]));
    }
    await model.dispose();
  });

  it('are refused what they cannot read', async () => {
    const clip = await AutoProcessor.from_pretrained('org/clip');
    const image = await load_image(picture('square'));
    await expect(clip(sound(10))).rejects.toThrow('a sound is given');
    await expect(clip()).rejects.toThrow('there is no input');
    await expect(clip(7 as never)).rejects.toThrow('an input is 7');
    await expect(clip(image, { input_points: [[[1, 2]]] })).rejects.toThrow('input_points is for SAM');
    expect(() => clip.construct_prompts('<OD>')).toThrow('are for Florence-2');
    await expect(clip.post_process_masks(new HostTensor(new Float32Array(1), [1]), [], [])).rejects.toThrow('SAM');
    const sam = await AutoProcessor.from_pretrained('org/sam');
    await expect(sam(image, { input_points: [[1, 2], [3]] })).rejects.toThrow('lists of equal lengths');
    await expect(sam(image, { input_points: [1, 2] })).rejects.toThrow('has 1 levels of lists, expected 4');
    await expect(sam(image, { input_labels: [[1]] })).rejects.toThrow('without input_points');
    await expect(sam('a text')).rejects.toThrow('no tokenizer');
    expect(() => sam.batch_decode([[1]])).toThrow('no tokenizer');
    const model = await SamModel.from_pretrained('org/sam');
    await expect(model({ pixels: 1 } as object)).rejects.toThrow('there is no input pixels');
    await expect(model({ pixel_values: 1 } as object)).rejects.toThrow('as a processor makes it');
    await model.dispose();
    const moonshine = await MoonshineForConditionalGeneration.from_pretrained('org/moonshine');
    await expect(moonshine.generate({})).rejects.toThrow('there is no input that the model takes');
    await expect(moonshine.generate({ language: 'de' })).rejects.toThrow('language is for Whisper');
    await moonshine.dispose();
    await expect(
      AutoProcessor.from_pretrained({ 'config.json': new TextEncoder().encode('{"model_type":"bert"}') }),
    ).rejects.toThrow('has no preprocessor_config.json');
  });
});
