// Quality of packed weights. Measures perplexity as llama-perplexity does, beside llama.cpp, the correlation of
// sentences' cosines with human judgement, and transcripts.
//
//     GGUF_MODEL=…/SmolLM2-135M-Instruct.Q4_1.gguf TEXT=…/val.en LLAMA_PERPLEXITY=…/llama-perplexity
// MINILM=…/all-MiniLM-L6-v2 STS=…/sts2015.tsv  WHISPER=…/whisper-tiny.en WAV=…/jfk-16k.wav   npm run bench -- quality

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { lossOver } from '../src/finetune/evaluate-tokens.js';
import { CausalLanguageModel } from '../src/finetune/index.js';
import { createDevice, type Device, loadModel, quantize } from '../src/index.js';
import { spearman, wer } from '../src/metrics/index.js';
import type { QuantizeOptions } from '../src/models/index.js';
import type { LoadedModel, LoadModelOptions } from '../src/pretrained/index.js';
import { pipeline } from '../src/tasks/index.js';
import type { Bench, Run } from './harness/bench.js';
import { BenchError } from './harness/error.js';
import { describeDevice } from './harness/machine.js';
import { OURS } from './harness/ours.js';

/** Tokens of a window. Only the second half counts, as in `llama-perplexity -c 512`. */
const CONTEXT = 512;
const IGNORED = -100;

const ways: readonly (readonly [name: string, options: LoadModelOptions, packing?: QuantizeOptions])[] = [
  ["the file's blocks, int8 activations", {}],
  ["the file's blocks, float32 activations", { activations: 'float32' }],
  ['float16', { weights: 'float16' }],
  ['int8', { weights: 'int8' }],
  ['int8, groups of 32', { weights: 'float32' }, { weights: 'int8', groupSize: 32 }],
  ['int4', { weights: 'int4' }],
  ['int4, float32 activations', { weights: 'int4', activations: 'float32' }],
];

export default {
  question: 'What do packed weights cost in quality?',
  async run(run) {
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    await reading(run, device);
    await judging(run);
    await hearing(run);
    device.dispose();
  },
} satisfies Bench;

function tell(run: Run, what: string, value: number): void {
  run.summary[what] = value;
  console.error(`${what}: ${value}`); // printed at once, because this takes minutes
}

async function reading(run: Run, device: Device): Promise<void> {
  const { GGUF_MODEL: file, TEXT: text, LLAMA_PERPLEXITY: llama } = process.env;
  if (!file || !text) return run.note('Perplexity is NOT measured: GGUF_MODEL and TEXT name no files');
  const name = basename(file, '.gguf');
  for (const [way, options, packing] of ways) {
    const what = `${name}, perplexity, ${way}`;
    if (!run.wants(what)) continue;
    const model = await loadModel(device, file, options);
    if (packing) quantize(model, packing);
    tell(run, what, await perplexityOf(model, readFileSync(text, 'utf8')));
    model.dispose();
  }
  const what = `${name}, perplexity, llama.cpp`;
  if (!run.wants(what)) return;
  if (!llama) return run.note('llama.cpp is NOT measured: LLAMA_PERPLEXITY names no program');
  const args = ['-m', file, '-f', text, '-c', `${CONTEXT}`, '-t', `${run.threads}`];
  const { stdout, stderr, status } = spawnSync(llama, args, { encoding: 'utf8' });
  const found = /PPL = ([\d.]+)/.exec(`${stdout}${stderr}`)?.[1];
  if (status !== 0 || found === undefined) throw new BenchError(`${llama} failed: ${stderr.slice(-500)}`);
  tell(run, what, Number(found));
}

/** Returns the perplexity of a text, in windows. Each begins with the start token if the tokenizer adds one. */
async function perplexityOf(model: LoadedModel, text: string): Promise<number> {
  const tokens = model.tokenizer?.encode(text, { addSpecial: true }) ?? [];
  const begins = model.tokenizer?.encode('', { addSpecial: true })[0];
  const rows = Array.from({ length: Math.floor(tokens.length / CONTEXT) }, (_, i) => {
    const inputIds = Array.from(tokens.slice(i * CONTEXT, (i + 1) * CONTEXT));
    if (begins !== undefined) inputIds[0] = begins;
    return { inputIds, labels: inputIds.map((id, place) => (place > CONTEXT / 2 ? id : IGNORED)) };
  });
  let sum = 0;
  for (const row of rows) sum += await lossOver(new CausalLanguageModel(model, { maxLength: CONTEXT }), [row]);
  return Math.exp(sum / rows.length);
}

/** Measures MiniLM on pairs of sentences with human scores. */
async function judging(run: Run): Promise<void> {
  const { MINILM: folder, STS: table } = process.env;
  if (!folder || !table) return run.note('MiniLM is NOT measured: MINILM and STS name no folder and table');
  if (!run.wants('MiniLM')) return;
  const pairs = readFileSync(table, 'utf8')
    .split('\n')
    .map((line) => line.split('\t') as [string, string, string])
    .filter(([score]) => score);
  const sentences = [...new Set(pairs.flatMap(([, ...pair]) => pair))];
  const places = new Map(sentences.map((sentence, i) => [sentence, i]));
  let floats: readonly Float32Array[] | undefined;
  for (const weights of ['float32', 'int8', 'int4'] as const) {
    const extract = await pipeline('feature-extraction', folder, { weights });
    const output = await extract(sentences, { pooling: 'mean', normalize: true });
    const vectors = sentences.map((_, i) => output.at(i).data.slice() as Float32Array);
    await extract.dispose();
    const vectorOf = (sentence: string) => vectors[places.get(sentence) as number] as Float32Array;
    const cosines = pairs.map(([, a, b]) => product(vectorOf(a), vectorOf(b)));
    const scores = pairs.map(([score]) => Number(score));
    tell(run, `MiniLM, Spearman's correlation, ${weights}`, spearman(cosines, scores));
    floats ??= vectors;
    const near = vectors.map((vector, i) => product(vector, (floats as Float32Array[])[i] as Float32Array));
    tell(run, `MiniLM, least cosine to float32, ${weights}`, Math.min(...near));
    tell(run, `MiniLM, mean cosine to float32, ${weights}`, near.reduce((sum, each) => sum + each) / near.length);
  }
}

const product = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);

/** Measures Whisper's transcripts of a recording, and of its end after some seconds. */
async function hearing(run: Run): Promise<void> {
  const { WHISPER: folder, WAV: recording } = process.env;
  if (!folder || !recording) return run.note('Whisper is NOT measured: WHISPER and WAV name no folder and file');
  if (!run.wants('Whisper')) return;
  const bytes = readFileSync(recording);
  const samples = Float32Array.from(
    { length: (bytes.length - 44) / 2 },
    (_, i) => bytes.readInt16LE(44 + 2 * i) / 32768,
  );
  const heard: Record<string, string[]> = {};
  for (const weights of ['float32', 'int8', 'int4'] as const) {
    const recognize = await pipeline('automatic-speech-recognition', folder, { weights });
    heard[weights] = [];
    for (let second = 0; second < 8; second++) {
      const { text } = await recognize(samples.subarray(16000 * second));
      heard[weights].push(text);
    }
    await recognize.dispose();
    const [own, floats] = [heard[weights], heard.float32 as string[]];
    tell(run, `Whisper, the whole recording with the same text, ${weights}`, Number(own[0] === floats[0]));
    tell(run, `Whisper, word error rate to float32, ${weights}`, wer(own, floats));
    tell(run, `Whisper, recordings of 8 with the same text, ${weights}`, own.filter((t, i) => t === floats[i]).length);
  }
}
