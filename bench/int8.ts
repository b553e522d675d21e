// Int8 models beside ONNX Runtime and CTranslate2 from pip, and beside our own float32 models.
//
// PYTHON=…/python MINILM=…/all-MiniLM-L6-v2 MINILM_ONNX=…/model.onnx MINILM_ONNX_INT8=…/model_quantized.onnx
// CAPTIONS=…/captions.txt WHISPER=…/whisper-tiny.en WHISPER_CT2=…/ctranslate2 npm run bench -- int8

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createDevice,
  type Device,
  type GenerateOptions,
  loadModel,
  loadTokenizer,
  quantize,
  type Tensor,
  Transformer,
} from '../src/index.js';
import { Random } from '../src/nn/index.js';
import type { Bench, Run } from './harness/bench.js';
import { type Contestant, contest, type Turn } from './harness/contest.js';
import { describeDevice } from './harness/machine.js';
import { OURS, patterned } from './harness/ours.js';
import { Peer } from './harness/peer.js';

const FLOATS = 'float32 weights';
/**
 * Tolerance of results. Rounding to integers changes them by some hundredths; this only checks that the model is the
 * same.
 */
const TOLERANCE = 0.25;
const CONTEST = { tolerance: TOLERANCE, turn: 0.3, seconds: 5 };

export default {
  question: 'How fast are models of int8, beside ONNX Runtime, CTranslate2 and float32?',
  async run(run) {
    const peer = await run.peer('pip', 'PYTHON names one with ctranslate2 and onnxruntime.', async () => {
      const started = Peer.python('packed.py');
      const versions = await started.ask<Record<string, string>>({ do: 'versions', args: {} });
      for (const [name, version] of Object.entries(versions)) run.version(name, version);
      return [started, 'of PYTHON'] as const;
    });
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    for (const part of [embedding, listening, translating]) await part(run, device, peer);
    device.dispose();
  },
} satisfies Bench;

type Ask = (what: string, args: object) => Promise<Turn>;
const asking =
  (peer: Peer | null): Ask =>
  (what, args) =>
    (peer as Peer).ask<Turn>({ do: what, args });

/** Returns the seconds of one repeat. */
async function timed(repeats: number, body: () => unknown): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) await body();
  return (performance.now() - start) / 1e3 / repeats;
}

/** Measures embedding: captions sorted by length, in batches of 32, and one text of 128 tokens. */
async function embedding(run: Run, device: Device, peer: Peer | null): Promise<void> {
  const { MINILM: folder, CAPTIONS: captions, MINILM_ONNX: floats, MINILM_ONNX_INT8: bytes } = process.env;
  const tasks = ['MiniLM, 512 captions in batches of 32', 'MiniLM, 1 × 128'].filter((what) => run.wants(what));
  if (tasks.length === 0) return;
  if (!folder || !captions) return run.note('MiniLM is NOT measured: MINILM and CAPTIONS name no folder and file');
  const tokenizer = await loadTokenizer(readFileSync(join(folder, 'tokenizer.json'), 'utf8'));
  const lines = readFileSync(captions, 'utf8').split('\n', 512);
  const texts = lines.map((line) => Array.from(tokenizer.encode(line))).sort((a, b) => a.length - b.length);
  const long = texts.flat().filter((id) => id > 102);
  const batches: Record<string, number[][][]> = {
    'MiniLM, 512 captions in batches of 32': Array.from({ length: 16 }, (_, i) => texts.slice(32 * i, 32 * i + 32)),
    'MiniLM, 1 × 128': [[long.slice(0, 128)]],
  };
  const ask = asking(peer);
  const threads = run.threads;
  const peers: [string, string][] = [];
  for (const [name, path] of [
    ['ONNX Runtime int8', bytes],
    ['ONNX Runtime', floats],
  ] as const) {
    if (peer === null || !path) run.note(`${name} is NOT measured: MINILM_ONNX and MINILM_ONNX_INT8 name its files`);
    else peers.push([name, path]);
  }
  for (const [name, path] of peers) await ask('onnx', { name, path, threads });
  const models = {
    [OURS]: await loadModel(device, folder, { weights: 'int8' }),
    [FLOATS]: await loadModel(device, folder),
  };
  for (const what of tasks) {
    const given = batches[what] as number[][][];
    const ours = Object.entries(models).map(([name, model]): Contestant => {
      const sample: number[] = [];
      const pass = async () => {
        for (const rows of given) {
          const longest = Math.max(...rows.map(({ length }) => length));
          const fill = (row: number[], value: (id: number) => number) =>
            Array.from({ length: longest }, (_, i) => (i < row.length ? value(row[i] as number) : 0));
          const inputIds = rows.map((row) => fill(row, (id) => id));
          const attentionMask = rows.map((row) => fill(row, () => 1));
          const given = device.noGrad(() => model.forward({ inputIds, attentionMask })) as Record<string, Tensor>;
          const vectors = await (given.sentenceEmbedding as Tensor).data();
          sample.splice(0, sample.length, ...vectors.slice(0, 384));
          for (const tensor of Object.values(given)) tensor.dispose();
        }
      };
      return { name, take: async (repeats) => ({ seconds: await timed(repeats, pass), sample }) };
    });
    const others = peers.map(
      ([name]): Contestant => ({ name, take: (repeats) => ask('embed', { name, batches: given, repeats }) }),
    );
    run.row(what, await contest([...ours, ...others], { rounds: run.rounds(9), ...CONTEST }));
  }
  for (const model of Object.values(models)) model.dispose();
}

const PERIOD = 1021;
const COMPUTES = [
  ['CTranslate2 int8', 'int8'],
  ['CTranslate2', 'float32'],
] as const;

/** Measures Whisper: encoding 30 seconds, and generating 24 tokens. */
async function listening(run: Run, device: Device, peer: Peer | null): Promise<void> {
  const { WHISPER: folder, WHISPER_CT2: converted } = process.env;
  const tasks = ['Whisper tiny.en, encode 30 s', 'Whisper tiny.en, decode 24 tokens'] as const;
  const wanted = tasks.filter((what) => run.wants(what));
  if (wanted.length === 0) return;
  if (!folder) return run.note('Whisper is NOT measured: WHISPER names no folder');
  const ask = asking(peer);
  const peers = peer !== null && converted ? COMPUTES : [];
  if (peers.length === 0) run.note('Whisper in CTranslate2 is NOT measured: WHISPER_CT2 names no folder');
  for (const [name, compute] of peers) await ask('whisper', { name, folder: converted, compute, threads: run.threads });
  const models = {
    [OURS]: (await loadModel(device, folder, { weights: 'int8' })) as unknown as Listener,
    [FLOATS]: (await loadModel(device, folder)) as unknown as Listener,
  };
  const x = patterned(device, [1, 80, 3000], PERIOD);
  const heardBy = (name: string, repeats: number) =>
    ask('listen', { name, bins: 80, frames: 3000, period: PERIOD, repeats });
  for (const [name] of peers) await heardBy(name, 1); // the recordings are needed first
  const [prompt, end, tokens] = [[50257, 50362], 50256, 24];
  for (const what of wanted) {
    const encodes = what === tasks[0];
    const ours = Object.entries(models).map(([name, model]): Contestant => {
      const heard = device.noGrad(() => model.encode(x).hidden);
      const encode = async () => {
        const { hidden } = device.noGrad(() => model.encode(x));
        await device.flush();
        hidden.dispose();
      };
      const length = tokens + 1; // the first token is forced; it is the second token of the peers' prompts
      const options = { maxNewTokens: length, minNewTokens: length, prefix: prompt.slice(1), numBeams: 1 } as const;
      const write = () => model.generate(heard.reshape(1, -1, heard.shape[1] as number), options);
      return { name, take: async (repeats) => ({ seconds: await timed(repeats, encodes ? encode : write) }) };
    });
    const others = peers.map(
      ([name]): Contestant => ({
        name,
        take: (repeats) => (encodes ? heardBy(name, repeats) : ask('write', { name, prompt, end, tokens, repeats })),
      }),
    );
    run.row(what, await contest([...ours, ...others], { rounds: run.rounds(9), ...CONTEST }));
  }
  for (const model of Object.values(models)) model.dispose();
  x.dispose();
}

interface Listener {
  encode(x: Tensor): { hidden: Tensor };
  generate(x: Tensor, options: GenerateOptions): Promise<unknown>;
  dispose(): void;
}

/** Measures the paper's model with random weights: 32 tokens from 32. */
async function translating(run: Run, device: Device, peer: Peer | null): Promise<void> {
  const sizes = { layers: 6, heads: 8, width: 512, hidden: 2048, vocabulary: 32000 };
  const tokens = 32;
  const tasks = [
    ...[1, 16, 32].map((batch) => ({ what: `translation 6+6, d 512, greedy, batch ${batch}`, batch, beams: 1 })),
    ...[1, 16].map((batch) => ({ what: `translation 6+6, d 512, beam 4, batch ${batch}`, batch, beams: 4 })),
  ].filter(({ what }) => run.wants(what));
  if (tasks.length === 0) return;
  const ask = asking(peer);
  const folder = mkdtempSync(join(tmpdir(), 'simdformer-ct2-'));
  try {
    const computes = COMPUTES.map(([, compute]) => compute);
    if (peer !== null) await ask('translator', { folder, threads: run.threads, computes, ...sizes });
  } finally {
    rmSync(folder, { recursive: true });
  }
  const make = () =>
    new Transformer(device, {
      dModel: sizes.width,
      heads: sizes.heads,
      dFF: sizes.hidden,
      encoderLayers: sizes.layers,
      decoderLayers: sizes.layers,
      sourceVocab: sizes.vocabulary,
      targetVocab: sizes.vocabulary,
      maxLength: 64,
    }).eval();
  const models = { [OURS]: quantize(make(), { weights: 'int8' }), [FLOATS]: make() };
  for (const { what, batch, beams } of tasks) {
    const random = new Random(1);
    const row = () => Array.from({ length: tokens }, () => 3 + random.below(sizes.vocabulary - 3));
    const sources = Array.from({ length: batch }, row);
    const options = { maxNewTokens: tokens, minNewTokens: tokens, numBeams: beams } as const;
    const ours = Object.entries(models).map(
      ([name, model]): Contestant => ({
        name,
        take: async (repeats) => ({ seconds: await timed(repeats, () => model.generate(sources, options)) }),
      }),
    );
    const others = (peer === null ? [] : COMPUTES).map(
      ([name, compute]): Contestant => ({
        name,
        take: (repeats) => ask('translate', { compute, sources, beams, tokens, repeats }),
      }),
    );
    run.row(what, await contest([...ours, ...others], { rounds: run.rounds(9), ...CONTEST }));
  }
  for (const model of Object.values(models)) model.dispose();
}
