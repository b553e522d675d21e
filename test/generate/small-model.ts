// Shared parts of the generation tests.

import { expect } from 'vitest';
import { createDevice, type GenerateResult, Transformer, type TransformerOptions } from '../../src/index.js';

export const size: TransformerOptions = {
  dModel: 16,
  heads: 2,
  dFF: 32,
  encoderLayers: 2,
  decoderLayers: 2,
  sourceVocab: 12,
  targetVocab: 11,
  maxLength: 24,
  seed: 3,
};

/** Sources or prompts of different lengths. */
export const inputs = [[5, 6, 7, 8, 9], [4], [3, 3, 10, 4, 5, 6, 7]];

/**
 * Log-probabilities of the same tokens, computed in steps, in one pass, or in another batch, differ by rounding only.
 */
export const CLOSE = 5e-5;

export function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of actual.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(CLOSE);
}

/** Shared by all files of a process, so no test disposes of it. */
export const device = await createDevice({ threads: 2 });

export function makeModel(options: TransformerOptions = {}): Transformer {
  const model = new Transformer(device, { ...size, ...options });
  // Weights large enough for decided, different outputs.
  for (const [name, parameter] of model.namedTensors()) {
    if (name === 'generator.weight') parameter.write(parameter.dataSync().map((w) => 4 * w) as Float32Array);
  }
  return model;
}

export const decoderOnly: TransformerOptions = { encoderLayers: 0 };
export const kinds = { 'encoder–decoder': {}, 'decoder-only': decoderOnly };

/** Targets of `score` for generated sequences: the tokens that the decoder read, and the end if there was one. */
export function targetsOf(model: Transformer, rows: number[][], result: GenerateResult) {
  const { encoderLayers } = model.config;
  const [bosId, eosId] = [model.startId!, model.endIds[0]!];
  const targets = result.sequences.map((tokens, i) => {
    const start = encoderLayers > 0 ? [bosId] : rows[result.inputs[i]!]!;
    return [...start, ...tokens, ...(result.logProbabilities[i]!.length > tokens.length ? [eosId] : [])];
  });
  return { ids: targets.flat(), lengths: targets.map((row) => row.length) }; // padding that was generated counts, too
}
