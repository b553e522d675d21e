// A memory of an agent: an embedding model, a reranker and a chat model in one process, over the passages of docs/.
//
//     SIMDFORMER_MODELS=… [MINILM_GGUF=…/all-MiniLM-L6-v2.f32.gguf] npm run bench -- memory
//
// The reranker is MiniLM once more, which reads question and passage together: cross-encoders of this shape do the same
// work. transformers.js has no chat model here, because there is no ONNX file of the same weights. It is compared in
// indexing and in searching. llama.cpp's convert_hf_to_gguf.py makes the GGUF file, with `--outtype f32`. A second process
// of ours packs the weights of both encoders to 8 bits. Its vectors differ, so it stands beside the comparison.

import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { forNode } from '../scripts/bundle.mjs';
import { createDevice } from '../src/index.js';
import type { Bert } from '../src/models/families/bert.js';
import { loadModel } from '../src/pretrained/index.js';
import { splitPassages } from '../src/tasks/index.js';
import type { Bench, Run } from './harness/bench.js';
import { contest } from './harness/contest.js';
import { OURS, OURS_IN_INT8 } from './harness/ours.js';
import { peerPackage } from './harness/packages.js';
import { Peer } from './harness/peer.js';
import { asContestant } from './harness/peers.js';
import { bertOnnx } from './peers/encoder-onnx.js';
import { modelFolder } from './pretrained/model-folder.js';

/** Passages of at most so many characters: all sides read them whole, because they have less than 256 tokens. */
const [DOCUMENTS, CHARACTERS] = [32, 600];
const [PASSAGES, TOKENS] = [3, 32];
const QUESTION = 'How do I limit the memory that the models of a server take?';
/** llama.cpp reads GELU and the softmax's exponentials from tables of float16. */
const TOLERANCE = 5e-3;

interface Models {
  readonly embedder: string;
  readonly reranker: string;
  readonly chat: string | null;
  /** Storage of the encoders' weights, as in `loadModel`. */
  readonly weights?: 'int8';
}

interface Side {
  readonly name: string;
  readonly peer: Peer;
  readonly models: Models;
  /** True for a side that computes with less accurate weights than the peers. */
  readonly isReference?: boolean;
}

type Wanted = Omit<Side, 'peer'> & { readonly peer: Peer | null };

export default {
  question: 'How fast is a memory of an agent, with three models in one process, and how much memory does it take?',
  async run(run) {
    const [minilm, chat] = [
      modelFolder(run, 'all-MiniLM-L6-v2'),
      modelFolder(run, 'smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf'),
    ];
    if (minilm === null || chat === null) return;
    const work = mkdtempSync(join(tmpdir(), 'simdformer-memory-'));
    try {
      const sides = await sidesOf(run, resolve(minilm), resolve(chat), work);
      for (const { peer, models } of sides) await peer.ask({ load: models, threads: run.threads });
      await measure(run, sides);
    } finally {
      rmSync(work, { recursive: true });
    }
  },
} satisfies Bench;

async function measure(run: Run, sides: readonly Side[]): Promise<void> {
  const texts = passagesOfDocs().slice(0, DOCUMENTS);
  const rounds = run.rounds(3);
  const contestants = (from: readonly Side[], question: object) =>
    from.flatMap(({ name, peer, isReference = false }) =>
      asContestant(name, peer, (repeats) => ({ ...question, repeats })).map((one) => ({ ...one, isReference })),
    );
  const indexing = contestants(sides, { index: texts });
  const indexed = await contest(indexing, { rounds, tolerance: TOLERANCE, seconds: 60 });
  run.row(`index ${texts.length} passages`, indexed, {
    'passages/s': texts.length / (indexed.times[OURS]?.median as number),
  });
  const asked = { question: QUESTION, texts, passages: PASSAGES };
  const searching = contestants(sides, { ...asked, tokens: 0 });
  run.row(`question to ${PASSAGES} reranked passages`, await contest(searching, { rounds, seconds: 60 }));
  const writers = sides.filter(({ models }) => models.chat !== null);
  const answering = contestants(writers, { ...asked, tokens: TOKENS });
  run.row(`question to answer, ${TOKENS} tokens`, await contest(answering, { rounds, seconds: 60 }));
  for (const { name, peer, models } of sides) {
    const { peak, delay } = await peer.ask<{ peak: number; delay: number }>({ state: true });
    const { embedder, reranker, chat } = models;
    const bytes = [embedder, reranker, chat].reduce((sum, path) => sum + (path === null ? 0 : bytesOf(path)), 0);
    run.summary[`${name}: peak memory, MB`] = peak / 1e6;
    run.summary[`${name}: peak memory, of the models' files`] = peak / bytes;
    run.summary[`${name}: delay of the event loop, p99, ms`] = delay * 1e3;
  }
}

/** The passages of this package's documentation. */
export function passagesOfDocs(): string[] {
  return readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .flatMap((name) =>
      splitPassages(readFileSync(join('docs', name), 'utf8')).map(({ text }) => text.slice(0, CHARACTERS)),
    );
}

/** Bytes of a file, or of the weights in a folder. */
function bytesOf(path: string): number {
  if (!statSync(path).isDirectory()) return statSync(path).size;
  const weights = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.(safetensors|onnx)$/.test(name),
  );
  return weights.reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
}

async function sidesOf(run: Run, minilm: string, chat: string, work: string): Promise<Side[]> {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  const own = async () => [await memoryOfOurs(), version] as const;
  const ours = await run.peer(OURS, '', own);
  const packed = await run.peer(OURS_IN_INT8, '', own);
  const transformers = await run.peer('transformers.js', 'It comes from npm, once.', async () => {
    const { folder, version } = peerPackage('@huggingface/transformers');
    return [memory('transformers.js', join(folder, 'dist/transformers.node.mjs')), version] as const;
  });
  const gguf = process.env.MINILM_GGUF;
  const llama = await run.peer('node-llama-cpp', 'It comes from npm, once.', async () => {
    if (!gguf) throw new Error('MINILM_GGUF names no GGUF file of all-MiniLM-L6-v2 in float32');
    const { folder, version } = peerPackage('node-llama-cpp');
    return [memory('node-llama-cpp', join(folder, 'dist/index.js')), version] as const;
  });
  const onnx = transformers === null ? '' : await onnxFolder(minilm, work);
  const sides: readonly Wanted[] = [
    { name: OURS, peer: ours, models: { embedder: minilm, reranker: minilm, chat } },
    {
      name: OURS_IN_INT8,
      peer: packed,
      models: { embedder: minilm, reranker: minilm, chat, weights: 'int8' },
      isReference: true,
    },
    { name: 'transformers.js', peer: transformers, models: { embedder: onnx, reranker: onnx, chat: null } },
    { name: 'node-llama-cpp', peer: llama, models: { embedder: gguf ?? '', reranker: gguf ?? '', chat } },
  ];
  return sides.filter((side): side is Side => side.peer !== null);
}

const memory = (library: string, file: string) => Peer.node('memory.mjs', [library, file]);

/** The memory of an agent in our package, in a process of its own. */
export const memoryOfOurs = async () => memory(OURS, await ourLibrary());

/** The package's root, bundled as users have it. */
async function ourLibrary(): Promise<string> {
  const outdir = 'build/bench'; // same depth as src/cli, because paths into the package are relative
  await build({ ...forNode, entryPoints: { library: 'src/index.ts' }, outdir });
  return fileURLToPath(new URL(`../${outdir}/library.js`, import.meta.url));
}

/** Our weights as ONNX, in a folder as transformers.js reads it. */
async function onnxFolder(minilm: string, work: string): Promise<string> {
  using device = await createDevice();
  const model = await loadModel(device, minilm);
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
    cpSync(join(minilm, name), join(work, name));
  mkdirSync(join(work, 'onnx'));
  writeFileSync(join(work, 'onnx/model.onnx'), bertOnnx(model as unknown as Bert));
  return work;
}
