// Weights that a generator in Python makes, too, and digests of their gradients.
import { expect } from 'vitest';
import type { Device, Tensor } from '../../src/index.js';
import type { StateDict } from '../../src/nn/index.js';

/** The norm of a gradient, and Σ gᵢ·cos(i). */
export type Digest = readonly [norm: number, wave: number];

/** Weights of these shapes, by name: weight i has 0.4·sin(0.37·j² + i) at j. */
export function waveWeights(device: Device, shapes: Readonly<Record<string, number[]>>): Record<string, Tensor> {
  const weights = Object.entries(shapes).map(([name, shape], i) => {
    const size = shape.reduce((product, length) => product * length, 1);
    const waves = Float32Array.from({ length: size }, (_, j) => 0.4 * Math.sin(j * j * 0.37 + i));
    return [name, device.tensor(waves, shape)] as const;
  });
  return Object.fromEntries(weights);
}

export async function expectGradients(gradients: StateDict, expected: Readonly<Record<string, Digest>>): Promise<void> {
  const largest = Math.max(...Object.values(expected).map(([norm]) => norm));
  for (const [name, [norm, wave]] of Object.entries(expected)) {
    const values = Float64Array.from(await gradients[name]!.data());
    const allowed = 1e-4 * norm + 1e-6 * largest;
    expect(Math.abs(Math.hypot(...values) - norm), name).toBeLessThan(allowed);
    expect(Math.abs(values.reduce((sum, g, i) => sum + g * Math.cos(i), 0) - wave), name).toBeLessThan(allowed);
  }
}
