// Pipelines of images and sounds over HTTP, beside the pipelines themselves.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice, loadModel } from '../../src/index.js';
import { decodeImage, encodeImage } from '../../src/pretrained/processors/decode-image.js';
import { writeWav } from '../../src/pretrained/processors/wav.js';
import { type OpenAIApp, openai } from '../../src/server/index.js';
import { PipelineRunner, UnsupportedTaskError } from '../../src/server/pipeline-runner.js';
import { pipeline, type WordBox } from '../../src/tasks/index.js';
import answers from '../tasks/document-answers.json' with { type: 'json' };
import masks from '../tasks/masks.json' with { type: 'json' };
import segments from '../tasks/segments.json' with { type: 'json' };
import { testData } from '../test-data.js';

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

async function load(name: string, processor: object) {
  const data = testData(`families/${name}`);
  const files = {
    'config.json': await data.bytes('config.json'),
    'model.safetensors': await data.bytes('model.safetensors'),
    'preprocessor_config.json': json(processor),
  };
  return loadModel(device, files, { onWarning: () => {} });
}

const [width, height] = [23, 31];
const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * i) % 251);
const png = await encodeImage({ width, height, data: pixels });
const image = Buffer.from(png).toString('base64');
const size = { height: 28, width: 28 };
const NEVER = new AbortController().signal;

const models = {
  classes: await load('convnext', { image_processor_type: 'ConvNextImageProcessor', size: { shortest_edge: 32 } }),
  boxes: await load('detr', {
    image_processor_type: 'DetrImageProcessor',
    size: { shortest_edge: 48, longest_edge: 72 },
  }),
  maps: await load('segformer', { image_processor_type: 'SegformerImageProcessor', size: { height: 64, width: 32 } }),
  objects: await load('detr-panoptic', segments.processor),
  depth: await load('depth_anything', { image_processor_type: 'DPTImageProcessor', size, ensure_multiple_of: 14 }),
  sam: await load('sam', masks.processor),
  words: await loadModel(device, 'test/tasks/layoutlmv3'),
};

describe('/v1/pipelines', () => {
  let app: OpenAIApp;
  beforeAll(async () => {
    app = await openai({ models });
  });
  afterAll(() => app?.close());

  const ask = async (task: string, body: object) => {
    const response = await app.request(`/v1/pipelines/${task}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as never };
  };
  const pngOf = async (base64: string) => decodeImage(Uint8Array.from(Buffer.from(base64, 'base64')));

  it('classifies an image, and accepts a data URL', async () => {
    const classify = await pipeline('image-classification', models.classes);
    const expected = await classify(png, { top_k: 2 });
    const parameters = { top_k: 2 };
    expect(await ask('image-classification', { model: 'classes', inputs: image, parameters })).toEqual({
      status: 200,
      body: expected,
    });
    const inputs = `data:image/png;base64,${image}`;
    expect((await ask('image-classification', { model: 'classes', inputs, parameters })).body).toEqual(expected);
  });

  it('is opened again after a failure', async () => {
    const runner = new PipelineRunner(models.classes, 1);
    const classify = () => runner.run('image-classification', [{ width, height, data: pixels }], {}, '', NEVER);
    const { processor } = models.classes;
    models.classes.processor = null;
    await expect(classify()).rejects.toThrow(UnsupportedTaskError);
    models.classes.processor = processor;
    expect(await classify()).toHaveLength(5);
  });

  it('gives the features of a model with a head', async () => {
    const extract = await pipeline('image-feature-extraction', models.classes);
    const { data, dims } = await extract(png);
    const expected = Buffer.from(new Uint8Array((data as Float32Array).buffer)).toString('base64');
    expect(await ask('image-feature-extraction', { model: 'classes', inputs: image })).toEqual({
      status: 200,
      body: { type: 'float32', dims, data: expected },
    });
  });

  it('detects objects', async () => {
    const detect = await pipeline('object-detection', models.boxes);
    const expected = await detect(png, { threshold: 0.1 });
    expect(expected.length).toBeGreaterThan(0);
    const parameters = { threshold: 0.1 };
    expect((await ask('object-detection', { model: 'boxes', inputs: image, parameters })).body).toEqual(expected);
  });

  it('sends masks and depths as PNG files', async () => {
    const segment = await pipeline('image-segmentation', models.maps);
    const expected = await segment(png);
    const found: { label: string; mask: string }[] = (await ask('image-segmentation', { model: 'maps', inputs: image }))
      .body;
    expect(found.map(({ label }) => label)).toEqual(expected.map(({ label }) => label));
    const mask = await pngOf(found[0]!.mask);
    expect([mask.width, mask.height]).toEqual([width, height]);
    const grey = Array.from({ length: width * height }, (_, i) => mask.data[i * (mask.data.length / width / height)]);
    expect(grey).toEqual(Array.from(expected[0]!.mask.data));

    const measure = await pipeline('depth-estimation', models.depth);
    const { predicted_depth } = await measure(png);
    const depth: { depth: string; predicted_depth: { dims: number[]; type: string; data: string } } = (
      await ask('depth-estimation', { model: 'depth', inputs: image })
    ).body;
    expect(depth.predicted_depth).toMatchObject({ dims: predicted_depth.dims, type: 'float32' });
    const bytes = Uint8Array.from(Buffer.from(depth.predicted_depth.data, 'base64'));
    expect(new Float32Array(bytes.buffer)).toEqual(predicted_depth.data);
    expect(await pngOf(depth.depth)).toMatchObject({ width, height });
  });

  it('finds the masks of objects', async () => {
    const segment = await pipeline('image-segmentation', models.objects);
    const parameters = { threshold: 0.3, mask_threshold: 0.1, overlap_mask_area_threshold: 0, label_ids_to_fuse: [1] };
    const expected = await segment(png, parameters);
    expect(expected.length).toBeGreaterThan(0);
    const body = { model: 'objects', inputs: image, parameters };
    const found: { label: string; score: number; mask: string }[] = (await ask('image-segmentation', body)).body;
    expect(found.map(({ label, score }) => [label, score])).toEqual(expected.map(({ label, score }) => [label, score]));
    expect(await pngOf(found[0]!.mask)).toMatchObject({ width, height });
    const semantic = { ...body, parameters: { subtask: 'semantic' } };
    expect((await ask('image-segmentation', semantic)).body).toMatchObject([{ score: null }]);
    const other = await ask('image-segmentation', { ...body, model: 'maps', parameters: { subtask: 'instance' } });
    expect(other.status).toBe(400);
  });

  it('answers questions by the words of a page', async () => {
    const find = await pipeline('document-question-answering', models.words);
    const parameters = { word_boxes: answers.words as unknown as WordBox[], top_k: 2 };
    const expected = await find(png, 'Who?', parameters);
    const body = { model: 'words', inputs: { image, question: 'Who?' }, parameters };
    expect((await ask('document-question-answering', body)).body).toEqual(expected);
    const odd = await ask('document-question-answering', { ...body, parameters: { word_boxes: [['a', [0, 0, 1]]] } });
    expect(odd.status).toBe(400);
    const missing = await ask('document-question-answering', { ...body, parameters: {} });
    expect([missing.status, JSON.stringify(missing.body)]).toEqual([400, expect.stringContaining('word_boxes')]);
  });

  it('finds the masks of points', async () => {
    const cut = await pipeline('mask-generation', models.sam);
    const parameters = { input_points: [[[4, 5]], [[20, 28]]] };
    const { scores } = await cut(png, parameters);
    const found: { masks: string[]; scores: number[] } = (
      await ask('mask-generation', { model: 'sam', inputs: image, parameters })
    ).body;
    expect(found.scores).toEqual(scores);
    expect(found.masks).toHaveLength(scores.length);
  });

  it('refuses other models, files and parameters', async () => {
    const base = { model: 'boxes', inputs: image };
    const error = async (task: string, body: object) => {
      const { status, body: answer } = await ask(task, body);
      return { status, ...(answer as { error: { message: string; param: string } }).error };
    };
    expect(await error('depth-estimation', base)).toMatchObject({ status: 400, param: 'model' });
    expect(await error('object-detection', { ...base, model: 'none' })).toMatchObject({ status: 404 });
    expect(await error('object-detection', { ...base, inputs: 'AAAA' })).toMatchObject({
      status: 400,
      param: 'inputs',
    });
    const address = 'http://127.0.0.1:9/a.png';
    expect(await error('object-detection', { ...base, inputs: address })).toMatchObject({
      status: 400,
      param: 'inputs',
      message: expect.stringContaining('imageHosts'),
    });
    const parameters = { threshold: 0.5, batchSize: 3 };
    expect(await error('object-detection', { ...base, parameters })).toMatchObject({ param: 'parameters.batchSize' });
    expect(await error('object-detection', { ...base, parameters: { threshold: 2 } })).toMatchObject({ status: 400 });
    expect(await error('mask-generation', { ...base, parameters: { points_per_crop: 1024 } })).toMatchObject({
      param: 'parameters.points_per_crop',
    });
    expect(await error('unknown-task', base)).toMatchObject({ status: 404 });
    const labels = { candidate_labels: [] };
    expect(await error('zero-shot-object-detection', { ...base, parameters: labels })).toMatchObject({ status: 400 });
    expect(await error('zero-shot-object-detection', base)).toMatchObject({ param: 'parameters' });
    const sound = Buffer.from(writeWav(new Float32Array(100), 16_000)).toString('base64');
    expect(await error('audio-classification', { ...base, inputs: sound })).toMatchObject({ param: 'model' });
  });

  it('is described in the OpenAPI document', async () => {
    const { paths } = (await (await app.request('/openapi.json')).json()) as { paths: Record<string, object> };
    const own = Object.keys(paths).filter((path) => path.startsWith('/v1/pipelines/'));
    expect(own).toContain('/v1/pipelines/mask-generation');
    expect(JSON.stringify(paths['/v1/pipelines/zero-shot-image-classification'])).toContain('candidate_labels');
    expect(own).toHaveLength(14);
    expect(readFileSync('docs/server-api.md', 'utf8')).toContain('/v1/pipelines/object-detection');
  });
});
