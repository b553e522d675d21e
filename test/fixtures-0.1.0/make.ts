// Made the folders beside this file and expected.json, what version 0.1.0 saved and what it computed from that:
//
//   git worktree add --detach .cache/v0.1.0 73ece1c && (cd .cache/v0.1.0 && npm run setup && npm run build:wasm)
//   npx tsx test/fixtures-0.1.0/make.ts .cache/v0.1.0
//
// To be run again only to add a case, in that version's tree, as all it uses of the package is imported from there.
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { TransformerOptions } from '../../src/index.js';
import type { fit as Fit } from '../../src/train/fit.js';
import type * as Package from '../simdformer.js';
import { examplesFor, type Observed, observe } from './observe.js';

const [tree] = process.argv.slice(2);
if (tree === undefined) throw new Error('usage: npx tsx test/fixtures-0.1.0/make.ts <tree of version 0.1.0>');
const url = pathToFileURL(join(resolve(tree), 'src/index.ts')).href;
const { createDevice, Transformer, fit, WordTokenizer }: typeof Package & { fit: typeof Fit } = await import(url);
const here = fileURLToPath(new URL('.', import.meta.url));

const sizes = { dModel: 16, heads: 4, dFF: 24, encoderLayers: 1, decoderLayers: 1, maxLength: 32, seed: 5 };
const encoderOnly = { decoderLayers: 0, targetVocab: undefined } as const;
const decoderOnly = { encoderLayers: 0, sourceVocab: undefined } as const;

/** Every kind of position and norm, and every option that decides about weights, on all three forms. */
const cases: Readonly<Record<string, TransformerOptions>> = {
  'paper, two layers each, dropout': { encoderLayers: 2, decoderLayers: 2, dropout: 0.1 },
  'sinusoidal in halves, pre-norm, all tied': {
    positions: { kind: 'sinusoidal', layout: 'halves', firstPosition: 1, frequencies: 'tensor2tensor' },
    norm: 'pre',
    tieEmbeddings: 'all',
  },
  'learned, GELU, target tied': { positions: 'learned', activation: 'gelu', tieEmbeddings: true, heads: 2 },
  'no positions, no final norms': { positions: 'none', finalNorm: false, embeddingScale: false },
  'relative bias, grouped heads': { positions: { kind: 'relativeBias', maxDistance: 3 }, kvHeads: 2, norm: 'pre' },
  'Shaw, post-norm': { positions: { kind: 'shaw', maxDistance: 3 } },
  'rotary interleaved, root mean squares after, gated GELU': {
    positions: 'rotary',
    normalization: 'rms',
    gated: true,
    activation: 'gelu',
  },
  'no biases, pre-norm without a final one': { bias: false, norm: 'pre', finalNorm: false, layerNormEps: 1e-6 },
  'encoder-only, relative bias, tied': { ...encoderOnly, positions: 'relativeBias', tieEmbeddings: true },
  'encoder-only, learned, SiLU': { ...encoderOnly, positions: 'learned', activation: 'silu', norm: 'pre' },
  'decoder-only, learned, no biases, tied': { ...decoderOnly, positions: 'learned', bias: false, tieEmbeddings: true },
  'decoder-only, Shaw, one key-value head': { ...decoderOnly, positions: 'shaw', kvHeads: 1, norm: 'pre' },
  'decoder-only, as LLaMA': {
    ...decoderOnly,
    norm: 'pre',
    normalization: 'rms',
    gated: true,
    activation: 'silu',
    bias: false,
    kvHeads: 2,
    positions: { kind: 'rotary', layout: 'halves' },
    decoderLayers: 2,
  },
};

/** Trains a little, so that no bias is zero and no norm one, and saves. */
async function save(name: string, options: TransformerOptions, folder: string): Promise<void> {
  const device = await createDevice({ backend: 'native', isa: 'scalar', threads: 1 });
  const model = new Transformer(device, { sourceVocab: 13, targetVocab: 13, ...sizes, ...options });
  await fit(model, examplesFor(model), { steps: 40, batchTokens: 128, schedule: () => 1e-2 });
  const special = { pad: '<pad>', bos: '<s>', eos: '</s>' };
  if (name.startsWith('paper')) model.tokenizers = { target: WordTokenizer.train('A B C D E F G H I J', { special }) };
  await model.save(folder, { dtype: name.startsWith('learned') ? 'float16' : 'float32' });
  device.dispose();
}

async function observedBy(backend: 'native' | 'wasm', isa: string, folder: string): Promise<Observed> {
  const device = await createDevice({ backend, isa, threads: 1 });
  const observed = await observe(await Transformer.load(device, folder), fit);
  device.dispose();
  return observed;
}

const expected: Record<string, { folder: string; by: Record<string, Observed> }> = {};
/** `folder` is '' for the model that comes with the package. */
async function record(name: string, folder: string, path: string): Promise<void> {
  const by: Record<string, Observed> = {};
  for (const backend of ['native', 'wasm'] as const) {
    const { isas } = (await createDevice({ backend })).info;
    for (const isa of isas) by[isa] = await observedBy(backend, isa, path);
  }
  console.log(name, Object.fromEntries(Object.entries(by).map(([isa, { loss }]) => [isa, loss])));
  expected[name] = { folder, by };
}

for (const [name, options] of Object.entries(cases)) {
  const folder = name.toLowerCase().replace(/[^a-z]+/g, '-');
  await save(name, options, join(here, folder));
  await record(name, folder, join(here, folder));
}
await record('g2p-en, which comes with the package', '', join(tree, 'models/g2p-en'));
writeFileSync(
  join(here, 'expected.json'),
  `${JSON.stringify(expected, null, 1).replace(/\[[^[\]{}]*\]/g, (numbers) => numbers.replace(/\s+/g, ''))}\n`,
);
