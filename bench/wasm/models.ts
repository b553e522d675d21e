// Timed by bench/pages.ts in a page, which loads this file in a bundle: models with packed weights, ours and other libraries'.

import { createDevice, type Device, type GenerateOptions } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';

type Take = (repeats: number) => Promise<{ seconds: number }>;

interface Writer {
  generate(prompts: number[][], options: GenerateOptions): Promise<unknown>;
}

/** The parts of @wllama/wllama that are used. */
interface Wllama {
  loadModel(blobs: Blob[], options: object): Promise<void>;
  createCompletion(
    options: object,
  ): Promise<{ timings: Record<'prompt_ms' | 'prompt_n' | 'predicted_ms' | 'predicted_n', number> }>;
  exit(): Promise<void>;
}

/** The parts of onnxruntime-web that are used. */
interface OnnxRuntime {
  readonly env: { readonly wasm: { numThreads?: number } };
  readonly Tensor: new (type: 'int64', data: BigInt64Array, shape: readonly number[]) => object;
  readonly InferenceSession: {
    create(url: string, options: object): Promise<{ run(inputs: object): Promise<object> }>;
  };
}

const takes = new Map<string, Take>();

export function take(name: string, repeats: number): Promise<{ seconds: number }> {
  return (takes.get(name) as Take)(repeats);
}

async function timed(repeats: number, body: () => Promise<unknown>): Promise<{ seconds: number }> {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) await body();
  return { seconds: (performance.now() - start) / 1e3 / repeats };
}

let device: Device;
let blob: Blob | undefined;

/** Prepares the device, and the Blob if a model is loaded from one, before memory is measured. */
export async function prepare(threads: number, source?: string, path = ''): Promise<void> {
  device = await createDevice({ backend: 'wasm', threads });
  if (source === 'a Blob') blob = await (await fetch(path)).blob();
}

let model: Writer;

/** Loads a GGUF file from its URL, a Response or the Blob. */
export async function load(source: string, path: string): Promise<void> {
  const url = new URL(path, location.href);
  const from = source === 'its URL' ? url : source === 'a Blob' ? (blob as Blob) : await fetch(url);
  model = (await loadModel(device, from)) as unknown as Writer;
}

/**
 * Prepares two measurements of the loaded model: `ours decode` generates `written` tokens after one token, and `ours
 * prefill` one token after `read` tokens. Returns the instruction set.
 */
export function openOurs(written: number, read: number): string {
  const generate = (prompt: number, count: number) => {
    const ids = Array.from({ length: prompt }, (_, i) => 100 + ((i * 37) % 900));
    return model.generate([ids], { maxNewTokens: count, minNewTokens: count, doSample: false });
  };
  takes.set('ours decode', (repeats) => timed(repeats, () => generate(1, written)));
  takes.set('ours prefill', (repeats) => timed(repeats, () => generate(read, 1)));
  return device.info.isa;
}

/** Prepares `wllama decode` and `wllama prefill`, which use wllama's own timings of the same numbers of tokens. */
export async function openWllama(
  module: string,
  wasm: string,
  url: string,
  threads: number,
  written: number,
  read: number,
) {
  const { Wllama } = (await import(module)) as { Wllama: new (paths: object, options: object) => Wllama };
  const wllama = new Wllama({ default: wasm }, { suppressNativeLog: true });
  const blob = await (await fetch(url)).blob();
  await wllama.loadModel([blob], { n_ctx: 512, n_threads: threads, n_gpu_layers: 0 });
  const run = async (prompt: string, count: number, tell: (timings: Record<string, number>) => number) => {
    const options = { prompt, max_tokens: count, temperature: 0, ignore_eos: true, cache_prompt: false };
    return { seconds: tell((await wllama.createCompletion(options)).timings) };
  };
  const each = (ms?: number, n?: number) => (ms as number) / (n as number) / 1e3;
  takes.set('wllama decode', () => run('The', written, (t) => each(t.predicted_ms, t.predicted_n) * written));
  let round = 0;
  takes.set('wllama prefill', () =>
    run(
      `${round++}${' and then he said that he would go'.repeat(Math.ceil(read / 8))}`,
      1,
      (t) => each(t.prompt_ms, t.prompt_n) * read,
    ),
  );
}

/** `ours encode` with weights of int8 and `float32 encode`, as `tokens` in each of `batch` rows; one thread. */
export async function openEncoders(folder: string, batch: number, tokens: number): Promise<void> {
  const device = await createDevice({ backend: 'wasm', threads: 1 });
  const row = Array.from({ length: tokens }, (_, i) => 1000 + ((i * 37) % 900));
  const inputIds = Array.from({ length: batch }, () => row);
  for (const [name, options] of [
    ['ours', { weights: 'int8' }],
    ['float32', {}],
  ] as const) {
    const model = await loadModel(device, new URL(folder, location.href), options);
    const pass = async () => {
      const { sentenceEmbedding } = device.noGrad(() => model.forward({ inputIds }));
      await sentenceEmbedding?.data();
      sentenceEmbedding?.dispose();
    };
    takes.set(`${name} encode`, (repeats) => timed(repeats, pass));
  }
}

/** `onnxruntime-web encode`: the same tokens. */
export async function openOnnx(module: string, url: string, batch: number, tokens: number): Promise<void> {
  const ort = (await import(module)) as OnnxRuntime;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(url, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  });
  const size = batch * tokens;
  const tensor = (value: (i: number) => number) =>
    new ort.Tensor(
      'int64',
      BigInt64Array.from({ length: size }, (_, i) => BigInt(value(i % tokens))),
      [batch, tokens],
    );
  const inputs = {
    input_ids: tensor((i) => 1000 + ((i * 37) % 900)),
    attention_mask: tensor(() => 1),
    token_type_ids: tensor(() => 0),
  };
  takes.set('onnxruntime-web encode', (repeats) => timed(repeats, () => session.run(inputs)));
}
