import { type Activation, activate } from './activation.js';
import { broadcastIndex, broadcastShape, build, lastOf, type Reals } from './reals.js';

/** a [..., m, k] · b [..., k, n], either stored transposed; leading dimensions are broadcast. */
export function matmul(a: Reals, b: Reals, { transposeA = false, transposeB = false } = {}): Reals {
  const [rowsA, colsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, colsB] = b.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [colsA, rowsA] : [rowsA, colsA];
  const n = transposeB ? rowsB : colsB;
  const batchA = a.shape.slice(0, -2);
  const batchB = b.shape.slice(0, -2);
  const batch = broadcastShape(batchA, batchB);
  return build([...batch, m, n], (at) => {
    const which = Math.floor(at / (m * n));
    const i = Math.floor(at / n) % m;
    const j = at % n;
    const startA = broadcastIndex(batchA, batch, which) * m * k + (transposeA ? i : i * k);
    const startB = broadcastIndex(batchB, batch, which) * k * n + (transposeB ? j * k : j);
    const [stepA, stepB] = [transposeA ? m : 1, transposeB ? 1 : n];
    let sum = 0;
    for (let p = 0; p < k; p++) sum += a.data[startA + p * stepA]! * b.data[startB + p * stepB]!;
    return sum;
  });
}

/** activation(x w + b): x [..., in], w [in, out], b [out] or null. */
export function linear(x: Reals, w: Reals, b: Reals | null, activation: Activation = 'none'): Reals {
  const [k, n] = w.shape as [number, number];
  const flat = matmul({ shape: [x.data.length / k, k], data: x.data }, w);
  const data = flat.data.map((y, i) => activate(activation, y + (b?.data[i % n] ?? 0)));
  return { shape: [...x.shape.slice(0, -1), lastOf(w.shape)], data };
}
