import { eachRow, elementwise, type Reals, sum } from './reals.js';

/** (x − mean) / √(variance + eps) · gamma + beta over the last dimension, of x + residual if there is one. */
export function layerNorm(
  x: Reals,
  gamma: Reals | null,
  beta: Reals | null,
  eps = 1e-5,
  residual: Reals | null = null,
): Reals {
  return eachRow(residual ? elementwise(x, residual, (a, b) => a + b) : x, (row) => {
    const mean = sum(row) / row.length;
    const variance = sum(row, (v) => (v - mean) ** 2) / row.length;
    return row.map((v, i) => ((v - mean) / Math.sqrt(variance + eps)) * (gamma?.data[i] ?? 1) + (beta?.data[i] ?? 0));
  });
}

/** x / √(mean of x² + eps) · (gamma + offset) over the last dimension. */
export function rmsNorm(x: Reals, gamma: Reals | null, eps = 1e-5, offset = 0): Reals {
  return eachRow(x, (row) => {
    const root = Math.sqrt(sum(row, (v) => v * v) / row.length + eps);
    return row.map((v, i) => (v / root) * (gamma === null ? 1 : gamma.data[i]! + offset));
  });
}

/** log Σ exp(x) of a row; −∞ of one that is −∞ throughout. */
export function logSumExp(row: Float64Array): number {
  const max = row.reduce((a, b) => Math.max(a, b), -Infinity);
  return max === -Infinity ? max : max + Math.log(sum(row, (v) => Math.exp(v - max)));
}

/** Over the last dimension. */
export function logSoftmax(x: Reals): Reals {
  return eachRow(x, (row) => {
    const all = logSumExp(row);
    return row.map((v) => v - all);
  });
}

export function softmax(x: Reals): Reals {
  const { shape, data } = logSoftmax(x);
  return { shape, data: data.map(Math.exp) };
}
