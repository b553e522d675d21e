// The encoders that bench/encoder.ts, contention.ts and wasm.ts run: BERT's layers (post-norm, GELU) without embeddings.

import { type Device, type Tensor, Transformer } from '../../src/index.js';
import { Random, type Stack, TokenBatch } from '../../src/nn/index.js';
import { patterned } from './ours.js';

export interface EncoderSizes {
  readonly layers: number;
  readonly dModel: number;
  readonly heads: number;
  readonly dFF: number;
}

/** Sizes of BERT base, and of MiniLM with six layers. */
export const encoderSizes = {
  '12 × 768': { layers: 12, dModel: 768, heads: 12, dFF: 3072 },
  '6 × 384': { layers: 6, dModel: 384, heads: 12, dFF: 1536 },
} as const satisfies Record<string, EncoderSizes>;

/** Sequences, and the tokens of each. */
export type EncoderBatch = readonly [batch: number, tokens: number];

export const encoderBatches: readonly EncoderBatch[] = [
  [1, 16],
  [1, 128],
  [8, 128],
];

/**
 * Makes an encoder whose biases and norms differ from their initial values, so that a peer that ignores one is
 * detected. The caller disposes of it.
 */
export function makeEncoder(device: Device, { layers, dModel, heads, dFF }: EncoderSizes): Transformer {
  const model = new Transformer(device, {
    dModel,
    heads,
    dFF,
    encoderLayers: layers,
    decoderLayers: 0,
    activation: 'gelu',
    norm: 'post',
    finalNorm: false,
    sourceVocab: 1,
  }).eval();
  const random = new Random(1);
  for (const parameter of model.parameters()) {
    if (parameter.shape.length !== 1) continue;
    const values = parameter.dataSync();
    parameter.write(Float32Array.from(values, (value) => value + (random.uniform() - 0.5) / 5));
  }
  return model;
}

export const stackOf = (model: Transformer): Stack => model.encoder as Stack;

/**
 * The period of the input features, [batch · tokens, dModel]. Peers have them as [batch, tokens, dModel]. See
 * `pattern`.
 */
export const PERIOD = 1021;

/** Records one forward pass. */
export function recordEncoder(device: Device, model: Transformer, [batch, tokens]: EncoderBatch) {
  const x = patterned(device, [batch * tokens, model.config.dModel], PERIOD);
  const ids = Array.from({ length: batch }, () => new Int32Array(tokens));
  const layout = TokenBatch.from(device, 'encoder', ids, null);
  const program = device.noGrad(() => device.record((): Tensor => stackOf(model).forward(x, layout)));
  const dispose = () => {
    program.dispose();
    layout.dispose();
    x.dispose();
  };
  return { program, dispose };
}

/** The work of a forward pass: operations, and bytes of weights that must be read once. */
export function encoderWork({ layers, dModel, dFF }: EncoderSizes, [batch, tokens]: EncoderBatch) {
  const weights = layers * (4 * dModel * dModel + 2 * dModel * dFF);
  const attention = layers * 4 * batch * tokens * tokens * dModel;
  return { flops: 2 * weights * batch * tokens + attention, bytes: 4 * weights };
}
