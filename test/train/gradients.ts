import type { Tensor } from '../../src/index.js';
import { mul } from '../../src/ops/index.js';
import { Random } from '../random.js';

const sizes = [1, 15, 16, 17, 128, 8193];

/** Parameters of the test's sizes, and gradients for each of some steps. */
export function draw(steps: number, scale = 1): { params: Float32Array[]; grads: Float32Array[][] } {
  const random = new Random('adamw');
  const values = () => sizes.map((n) => random.normal([n], scale).data);
  return { params: sizes.map((n) => random.normal([n]).data), grads: Array.from({ length: steps }, values) };
}

export function setGradients(params: readonly Tensor[], grads: readonly Float32Array[]): void {
  params.forEach((param, i) => {
    mul(param, 1).backward(grads[i]!);
  });
}

export function normOf(arrays: readonly Float32Array[]): number {
  return Math.sqrt(arrays.reduce((total, values) => total + values.reduce((sum, x) => sum + x * x, 0), 0));
}
