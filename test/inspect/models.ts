import { type Device, Transformer, type TransformerOptions } from '../../src/index.js';
import { Random } from '../random.js';

/** Small models of every kind: each positions kind, both places of the norm, shared keys, every set of stacks. */
export const models: Record<string, TransformerOptions> = {
  'post-norm': {},
  'pre-norm, tied': { norm: 'pre', tieEmbeddings: true, activation: 'gelu' },
  'learned positions': { positions: 'learned', activation: 'silu' },
  'relative bias, grouped heads': { positions: { kind: 'relativeBias', maxDistance: 2 }, kvHeads: 2, norm: 'pre' },
  'relative keys and values, pre-norm': { positions: { kind: 'shaw', maxDistance: 2 }, norm: 'pre' },
  'relative keys and values, post-norm, one key-value head': { positions: 'shaw', kvHeads: 1 },
  'no final norms, no positions': { finalNorm: false, positions: 'none', embeddingScale: false },
  'no biases': { bias: false, norm: 'pre' },
  'rotary positions, gated, root mean squares': {
    positions: { kind: 'rotary', layout: 'halves' },
    gated: true,
    normalization: 'rms',
    norm: 'pre',
    kvHeads: 2,
  },
  'encoder-only': { decoderLayers: 0, targetVocab: 11, tieEmbeddings: true, norm: 'pre' },
  'decoder-only': { encoderLayers: 0, padId: 0, positions: 'shaw' },
};

export const source = [3, 4, 5, 6, 7, 4];
export const target = [1, 3, 4, 8, 5];

/** The inputs that a model takes. */
export function inputsOf({ transformer }: Transformer): [source: number[] | null, target?: number[]] {
  const { encoder, decoder } = transformer;
  return decoder ? [encoder ? source : null, target] : [source];
}

/** A model in which nothing is at its initial 0 or 1. */
export function build(device: Device, options: TransformerOptions, Model = Transformer): Transformer {
  const base = { dModel: 24, heads: 4, encoderLayers: 2, decoderLayers: 2, dFF: 40, maxLength: 12, seed: 5 };
  const model = new Model(device, { ...base, sourceVocab: 11, targetVocab: 9, ...options }).eval();
  const random = new Random('parameters');
  for (const [name, parameter] of model.namedTensors()) {
    if (!/bias|norm/.test(name)) continue;
    const noise = random.normal([parameter.size]).data;
    parameter.write(Float32Array.from(noise, (x) => 0.5 * x + (/norm.*weight/.test(name) ? 1 : 0)));
  }
  return model;
}
