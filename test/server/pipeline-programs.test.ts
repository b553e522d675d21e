// Tasks of images and sounds over HTTP: the programs of test/tasks, beside what transformers.js returned.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { createDevice, loadModel } from '../../src/index.js';
import { type OpenAIApp, openai } from '../../src/server/index.js';
import { expectAlike } from '../tasks/alike.js';
import { writeModels } from '../tasks/program-models.js';
import results from '../tasks/programs/results.json' with { type: 'json' };
import { type Pipeline, plain, programs } from '../tasks/programs.js';

/** Tasks by the model of their program. */
const tasks = {
  'image-classification': 'vit-image',
  'image-feature-extraction': 'vit-body',
  'zero-shot-image-classification': 'clip',
  'object-detection': 'detr',
  'zero-shot-object-detection': 'owlv2',
  'image-to-text': 'vision-gpt2',
  'audio-classification': 'hubert-classes',
  'document-question-answering': 'vision-document',
  'zero-shot-audio-classification': 'clap',
} as const;
/** Samples per second that models of sounds read. */
const RATES: Readonly<Record<string, number>> = { 'org/clap': 8000, 'org/hubert-classes': 1000 };

/** A WAV file of 32-bit floats. */
function wavOf(samples: Float32Array, rate: number): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF');
  header.writeUInt32LE(36 + samples.byteLength, 4);
  header.write('WAVEfmt ', 8);
  for (const [value, bytes, at] of [
    [16, 4, 16],
    [3, 2, 20], // floats
    [1, 2, 22],
    [rate, 4, 24],
    [4 * rate, 4, 28],
    [4, 2, 32],
    [32, 2, 34],
  ] as const)
    header.writeUIntLE(value, at, bytes);
  header.write('data', 36);
  header.writeUInt32LE(samples.byteLength, 40);
  return Buffer.concat([header, Buffer.from(samples.buffer)]);
}

const fileOf = (input: unknown, rate = 0) =>
  (input instanceof Float32Array ? wavOf(input, rate) : readFileSync(input as string)).toString('base64');

/** Tensors arrive as bytes in base64. */
function withNumbers(value: unknown): unknown {
  const { dims, data } = (value ?? {}) as { dims?: number[]; data?: string };
  if (dims === undefined || data === undefined) return value;
  const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
  return { ...(value as object), data: new Float32Array(bytes.buffer) };
}

describe('/v1/pipelines', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'served-tasks-'));
  const device = await createDevice({ threads: 2 });
  let app: OpenAIApp;
  beforeAll(async () => {
    writeModels(folder);
    const names = Object.values(tasks);
    const loaded = names.map(async (name) => [`org/${name}`, await loadModel(device, join(folder, 'org', name))]);
    app = await openai({ models: Object.fromEntries(await Promise.all(loaded)) });
  });
  afterAll(async () => {
    await app?.close();
    device.dispose();
    rmSync(folder, { recursive: true });
  });

  /** Calls a task over HTTP as a program calls a pipeline. */
  const overHttp: Pipeline = async (task, model) => {
    const ask = async (input: unknown, ...rest: unknown[]): Promise<unknown> => {
      if (Array.isArray(input)) return Promise.all(input.map((each) => ask(each, ...rest)));
      const file = fileOf(input, RATES[model]);
      const [first, options] = typeof rest[0] === 'string' || Array.isArray(rest[0]) ? rest : [undefined, rest[0]];
      const inputs = typeof first === 'string' ? { image: file, question: first } : file;
      const parameters = { ...(Array.isArray(first) ? { candidate_labels: first } : {}), ...(options as object) };
      const response = await app.request(`/v1/pipelines/${task}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, inputs, parameters }),
      });
      return withNumbers(await response.json());
    };
    return Object.assign(ask, { dispose: async () => {} });
  };

  const picture = (name: string) => `test/tasks/programs/${name}.png`;
  it.each(Object.keys(tasks))('%s', async (task) => {
    const actual = await programs[task]?.(overHttp, { small: picture('small'), square: picture('square') });
    expectAlike(plain(actual), (results as Record<string, unknown>)[task], task);
  });
});
