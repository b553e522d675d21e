// What is observed of models that version 0.1.0 saved: once by make.ts, in that version's tree, and in every version since
// by test/models/saved-0.1.0.test.ts. So it calls only what both have.
import { createHash } from 'node:crypto';
import type { Transformer } from '../../src/index.js';
import type { fit as Fit } from '../../src/train/fit.js';

/** One instruction set's results. Bits: bytes of float32 in base64, or a digest of them. */
export interface Observed {
  readonly logits: string;
  /** Every seventh of these that is not padding, to see how far others are away. */
  readonly someLogits: string;
  readonly loss: number;
  /** Of all gradients of that loss by name. */
  readonly gradients: string;
  /** Tokens and the bits of their log-probabilities; null for models that generate nothing. */
  readonly greedy: Written | null;
  readonly beams: Written | null;
  readonly sampled: Written | null;
  /** Of a few steps on batches in a seed's order, with dropout if the model has it. */
  readonly losses: readonly number[];
  /** Of all parameters after these. */
  readonly trained: string;
}

interface Written {
  readonly sequences: readonly (readonly number[])[];
  readonly scores: string;
}

/** Ragged, long enough for whole tiles and rests, and without id 0, which is padding to some. */
export const sources = [
  [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 3, 5, 7, 9, 11, 4, 6, 8, 10, 12, 12, 3],
  [8],
  [2, 9, 10, 5, 5],
];
export const targets = [
  [1, 3, 4, 2],
  [1, 5, 6, 7, 8, 9, 10, 11, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2],
  [1, 2],
];

/** Made so that a target can be learnt from its source, or from what came before. */
export const examples = Array.from({ length: 24 }, (_, i) => {
  const source = Array.from({ length: 2 + (i % 7) }, (_, j) => 3 + ((5 * i + 3 * j) % 10));
  return { source, target: [1, ...source.toReversed(), 2] };
});

/** The examples as a model takes them: without an encoder only targets, without a decoder a label for each source token. */
export function examplesFor(model: Transformer) {
  const { encoderLayers, decoderLayers } = model.config;
  if (decoderLayers === 0) return examples.map(({ source }) => ({ source, target: source.toReversed() }));
  return encoderLayers === 0 ? examples.map(({ target }) => ({ target })) : examples;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => new Uint8Array(buffer, byteOffset, byteLength);

function digest(entries: Readonly<Record<string, { dataSync(): ArrayBufferView }>>): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(entries).sort()) hash.update(name).update(bytesOf(entries[name]!.dataSync()));
  return hash.digest('base64');
}

/** `model` is trained by it, so it should be of no further use. */
export async function observe(model: Transformer, fit: typeof Fit): Promise<Observed> {
  const { encoderLayers, decoderLayers } = model.config;
  const source = encoderLayers > 0 ? sources : null;
  model.eval();
  const logits = model.device.noGrad(() => model.forward(source, decoderLayers > 0 ? targets : undefined));
  const labels = decoderLayers > 0 ? targets : sources.map((row) => row.map((id) => id - 1));
  const loss = model.loss(source, labels, { labelSmoothing: 0.1 });
  loss.backward();
  const gradients = digest(model.gradientDict());
  for (const parameter of model.parameters()) parameter.zeroGrad();
  const write = async (options: object): Promise<Written | null> => {
    if (decoderLayers === 0) return null;
    const prompts = targets.map((row) => row.slice(0, -1));
    const { sequences, scores } = await model.generate(source ?? prompts, { maxNewTokens: 12, ...options });
    return { sequences, scores: digest({ scores: { dataSync: () => Float32Array.from(scores) } }) };
  };
  const values = await logits.data();
  const observed = {
    logits: digest({ logits: { dataSync: () => values } }),
    someLogits: Buffer.from(bytesOf(values.filter((value) => value !== 0).filter((_, i) => i % 7 === 0))).toString(
      'base64',
    ),
    loss: await loss.item(),
    gradients,
    greedy: await write({}),
    beams: await write({ numBeams: 3, lengthPenalty: 0.6 }),
    sampled: await write({ doSample: true, topK: 5, temperature: 0.8, seed: 7 }),
  };
  const losses: number[] = [];
  await fit(model, examplesFor(model), {
    steps: 5,
    batchTokens: 64,
    labelSmoothing: 0.1,
    seed: 3,
    onStep: ({ loss }) => losses.push(loss),
  });
  return { ...observed, losses, trained: digest(model.stateDict()) };
}
