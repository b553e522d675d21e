// Rotated, grey and transparent files of pictures, and sound of half the rate in two channels, through pipelines and over
// HTTP. Results are those of upright pixels, and of samples at the model's rate.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice, loadModel } from '../../src/index.js';
import { type ImageBytes, type LoadedModel, mixDown, readWav, resample } from '../../src/pretrained/index.js';
import { type OpenAIApp, openai } from '../../src/server/index.js';
import { pipeline } from '../../src/tasks/index.js';
import { expectAlike } from '../tasks/alike.js';
import { writeModels } from '../tasks/program-models.js';
import { plain } from '../tasks/programs.js';
import { stereoWav } from '../tasks/stereo-wav.js';

const labels = ['a cat', 'the dog'];
interface Case {
  readonly task: Parameters<typeof pipeline>[0];
  readonly model: string;
  /** Labels or a question. */
  readonly more?: string[] | string;
}

/** Tasks of pictures, with the side of the picture that the model reads. */
const seeing: readonly (Case & { readonly side: number })[] = [
  { task: 'image-classification', model: 'vit-image', side: 24 },
  { task: 'image-feature-extraction', model: 'vit-body', side: 24 },
  { task: 'image-segmentation', model: 'segformer', side: 32 },
  { task: 'depth-estimation', model: 'depth_anything', side: 28 },
  { task: 'zero-shot-image-classification', model: 'clip', side: 24, more: labels },
  { task: 'object-detection', model: 'detr', side: 32 },
  { task: 'zero-shot-object-detection', model: 'owlv2', side: 24, more: labels },
  { task: 'image-to-text', model: 'vision-gpt2', side: 12 },
  { task: 'document-question-answering', model: 'vision-document', side: 24, more: 'what is the total ?' },
];
const hearing: readonly Case[] = [
  { task: 'audio-classification', model: 'hubert-classes' },
  { task: 'zero-shot-audio-classification', model: 'clap', more: labels },
  { task: 'automatic-speech-recognition', model: 'wav2vec2' },
];

const WIDTH = 37;
const HEIGHT = 22;
/** The bytes of a picture of `channels`, whose corners all differ. */
const bytesOf = (channels: number) =>
  Buffer.from(
    Array.from({ length: WIDTH * HEIGHT * channels }, (_, i) => {
      const [x, y, c] = [Math.floor(i / channels) % WIDTH, Math.floor(i / channels / WIDTH), i % channels];
      return (x * 7 + y * 31 + c * 50 + x * y) % 251;
    }),
  );
const pngOf = (data: Uint8Array) => {
  const channels = (data.length / (WIDTH * HEIGHT)) as 3;
  return sharp(data, { raw: { width: WIDTH, height: HEIGHT, channels } }).png();
};

/** Files, each with the red, green and blue that models see. */
const files: readonly (readonly [name: string, file: () => Promise<Buffer>, seen: Buffer])[] = [
  // To be rotated by 90 degrees clockwise before it is shown.
  ['rotated', () => pngOf(bytesOf(3)).rotate(270).withMetadata({ orientation: 6 }).toBuffer(), bytesOf(3)],
  [
    'grey',
    () => pngOf(bytesOf(1)).toColourspace('b-w').toBuffer(),
    Buffer.from([...bytesOf(1)].flatMap((value) => [value, value, value])),
  ],
  // transformers' load_image drops alpha.
  ['transparent', () => pngOf(bytesOf(4)).toBuffer(), bytesOf(4).filter((_, i) => i % 4 < 3) as Buffer],
];

/** A sweep of 900 samples. */
const sweep = (k: number) =>
  Float32Array.from({ length: 900 }, (_, i) => Math.sin((i * i) / 900 / k) * 0.5 + 0.3 * Math.sin(i / 4 + k));

describe('unusual files', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'unusual-'));
  const device = await createDevice({ threads: 2 });
  const models: Record<string, LoadedModel> = {};
  let app: OpenAIApp;
  const change = (model: string, settings: object) => {
    const path = join(folder, 'org', model, 'preprocessor_config.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...settings }));
  };
  beforeAll(async () => {
    writeModels(folder);
    for (const { model, side } of seeing) {
      const resizes = { do_resize: true, do_thumbnail: true, size: { height: side, width: side } };
      change(model, { ...resizes, do_pad: model === 'vision-document' });
    }
    change('wav2vec2', { sampling_rate: 16000 });
    for (const { model: name } of [...seeing, ...hearing])
      models[name] = (await loadModel(device, join(folder, 'org', name), { onWarning: () => {} })) as LoadedModel;
    app = await openai({ models });
  });
  afterAll(async () => {
    await app?.close();
    device.dispose();
    rmSync(folder, { recursive: true });
  });

  const call = async ({ task, model, more }: Case, input: unknown) => {
    const run = (await pipeline(task, models[model]!)) as (...args: unknown[]) => Promise<unknown>;
    return plain(more === undefined ? await run(input) : await run(input, more));
  };

  async function overHttp({ task, model, more }: Case, file: Buffer) {
    const encoded = file.toString('base64');
    const inputs = typeof more === 'string' ? { image: encoded, question: more } : encoded;
    const parameters = Array.isArray(more) ? { candidate_labels: more } : {};
    const response = await app.request(`/v1/pipelines/${task}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, inputs, parameters }),
    });
    expect(response.status, await response.clone().text()).toBe(200);
    return response.json();
  }

  async function transcribedOverHttp(model: string, file: Buffer) {
    const body = new FormData();
    body.append('model', model);
    body.append('file', new Blob([new Uint8Array(file)]));
    const response = await app.request('/v1/audio/transcriptions', { method: 'POST', body });
    expect(response.status, await response.clone().text()).toBe(200);
    return response.json();
  }

  describe.each(files)('a %s picture', (_, makeFile, seen) => {
    it.each(seeing)('$task', async (given) => {
      const file = await makeFile();
      const image: ImageBytes = { width: WIDTH, height: HEIGHT, data: seen };
      expect(await call(given, file)).toEqual(await call(given, image));
      const upright = await pngOf(seen).toBuffer();
      expect(await overHttp(given, file)).toEqual(await overHttp(given, upright));
    });
  });

  it.each(hearing)('a sound of two channels and half the rate: $task', async (given) => {
    const { task, model } = given;
    const { samplingRate: rate } = models[model]!.processor as unknown as { samplingRate: number };
    const file = stereoWav(sweep(1), sweep(2), rate / 2);
    const recording = readWav(file);
    const expected = await call(given, resample(mixDown(recording), rate / 2, rate));
    expect(await call(given, file)).toEqual(expected);
    expect(await call(given, recording)).toEqual(expected);
    const found =
      task === 'automatic-speech-recognition' ? await transcribedOverHttp(model, file) : await overHttp(given, file);
    expectAlike(found, expected, task);
  });
});
