import type { Device } from '../../src/core/device.js';
import { Random } from '../../src/core/random.js';
import type { TransformerOptions } from '../../src/models/config.js';
import { Transformer } from '../../src/models/families/transformer.js';
import type { Example } from '../../src/train/batches.js';
import type { FitOptions } from '../../src/train/fit.js';
import { constant } from '../../src/train/schedule.js';

export const common: FitOptions = { batchTokens: 300, schedule: constant(3e-3), labelSmoothing: 0.1, seed: 5 };

/** Sequences of 2 to 6 symbols and their reversals: 0 is padding, 1 begins, 2 ends. */
export function reversals(count: number): Example[] {
  const random = new Random(1);
  return Array.from({ length: count }, () => {
    const source = Array.from({ length: 2 + random.below(5) }, () => 3 + random.below(6));
    return { source, target: [1, ...source.slice().reverse(), 2] };
  });
}

export function smallModel(device: Device, options: TransformerOptions = {}): Transformer {
  const sizes = { dModel: 32, heads: 2, encoderLayers: 1, decoderLayers: 1, dFF: 64, maxLength: 16 };
  return new Transformer(device, { ...sizes, sourceVocab: 9, targetVocab: 9, norm: 'pre', ...options });
}

export function weights(model: Transformer): Promise<Float32Array[]> {
  return Promise.all(model.parameters().map((parameter) => parameter.data() as Promise<Float32Array>));
}
