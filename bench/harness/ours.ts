// Our side of a contest.

import type { Device, Program, Tensor } from '../../src/index.js';
import type { Contestant } from './contest.js';

export const OURS = 'simdformer';
/** Names of sides that round the factors of products to bfloat16. They stand beside those in float32. */
export const OURS_IN_BFLOAT16 = 'simdformer, bfloat16';
/** Name of a side that packs its weights to 8 bits. */
export const OURS_IN_INT8 = 'simdformer, int8 weights';
export const PYTORCH_IN_BFLOAT16 = 'PyTorch, autocast to bfloat16';

/**
 * Returns test values: i mod period, scaled to ±1. Every contestant, also in C and Python, makes the same values
 * itself.
 */
export function pattern(size: number, period: number): Float32Array {
  const values = new Float32Array(size);
  for (let i = 0; i < size; i++) values[i] = (i % period) * (2 / period) - 1;
  return values;
}

export function patterned(device: Device, shape: readonly number[], period: number): Tensor {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return device.tensor(pattern(size, period), shape);
}

/** Returns some elements of a result, spread evenly. */
export function sampleOf(values: ArrayLike<number>): number[] {
  return Array.from({ length: 64 }, (_, i) => values[(i * 104729) % values.length] as number);
}

/** Returns a contestant that runs a recorded program, which does its work `copies` times. */
export function recorded(device: Device, program: Program<Tensor>, copies = 1): Contestant {
  return {
    name: OURS,
    take: (repeats) => {
      const start = performance.now();
      for (let i = 0; i < repeats; i++) {
        program.run();
        device.flushSync();
      }
      const seconds = (performance.now() - start) / 1e3 / repeats / copies;
      return { seconds, sample: sampleOf(program.result.dataSync()) };
    },
  };
}
