import { type Device, Transformer, type TransformerOptions } from '../../src/index.js';
import { isas } from '../describe-op.js';

export const best = isas[0]!;

/** Small models of every kind, together using every option. */
export const models: Record<string, TransformerOptions> = {
  'encoder–decoder, post-norm': {},
  'encoder–decoder, pre-norm, tied': { norm: 'pre', tieEmbeddings: true, activation: 'gelu' },
  'encoder–decoder, all tied, learned positions': { tieEmbeddings: 'all', targetVocab: 11, positions: 'learned' },
  'encoder–decoder, relative bias, grouped heads': { positions: { kind: 'relativeBias', maxDistance: 2 }, kvHeads: 2 },
  'encoder–decoder, relative keys and values': { positions: { kind: 'shaw', maxDistance: 2 }, norm: 'pre' },
  'encoder–decoder without final norms or positions': { finalNorm: false, positions: 'none', embeddingScale: false },
  'encoder–decoder without biases': { bias: false, norm: 'pre' },
  'encoder–decoder, rotary, gated, root mean squares': {
    positions: 'rotary',
    gated: true,
    activation: 'gelu',
    normalization: 'rms',
  },
  'encoder-only': { decoderLayers: 0, targetVocab: undefined, activation: 'silu' },
  'encoder-only, tied': { decoderLayers: 0, targetVocab: 11, tieEmbeddings: true, positions: 'relativeBias' },
  'decoder-only': { encoderLayers: 0, sourceVocab: undefined, padId: 0 },
  'decoder-only, pre-norm, tied, one key-value head': {
    encoderLayers: 0,
    norm: 'pre',
    tieEmbeddings: true,
    kvHeads: 1,
    padId: 0,
    positions: { kind: 'sinusoidal', layout: 'halves', firstPosition: 1, frequencies: 'tensor2tensor' },
  },
  'decoder-only, tied, without biases': { encoderLayers: 0, tieEmbeddings: true, bias: false, padId: 0 },
  'decoder-only, relative keys and values': { encoderLayers: 0, positions: 'shaw', padId: 0 },
  'decoder-only, as LLaMA': {
    encoderLayers: 0,
    norm: 'pre',
    normalization: 'rms',
    gated: true,
    activation: 'silu',
    bias: false,
    kvHeads: 2,
    positions: { kind: 'rotary', layout: 'halves' },
    padId: 0,
  },
};

export function build(device: Device, options: TransformerOptions): Transformer {
  const base = { dModel: 24, heads: 4, encoderLayers: 2, decoderLayers: 2, dFF: 40, maxLength: 12, seed: 5 };
  return new Transformer(device, { ...base, sourceVocab: 11, targetVocab: 9, ...options });
}

export const sources = [[3, 4, 5, 6, 7], [8], [2, 9, 10]];
export const targets = [
  [1, 3, 4, 2],
  [1, 5, 6, 7, 8, 2],
  [1, 2],
];

/** The inputs that a model takes. */
export function inputsOf(model: Transformer, { source = sources, target = targets } = {}) {
  const { encoder, decoder } = model.transformer;
  return [encoder ? source : null, decoder ? target : undefined] as const;
}

export function lossOf(model: Transformer) {
  const { encoder, decoder } = model.transformer;
  const labels = sources.map((row) => row.map((id) => id - 1));
  return model.loss(encoder ? sources : null, decoder ? targets : labels, { labelSmoothing: 0.1 });
}
