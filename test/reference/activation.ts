import type { Reals } from './reals.js';

/** erfc(x) for x ≥ 0, to float64's precision: a series of positive terms near 0, a continued fraction beyond. */
function erfc(x: number): number {
  const scale = Math.exp(-x * x) / Math.sqrt(Math.PI);
  if (x < 2) {
    // erf(x) = 2/√π e^(−x²) Σ 2ⁿ x^(2n+1) / (2n+1)!!
    let term = x;
    let total = x;
    for (let n = 1; term > total * 1e-17; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      total += term;
    }
    return 1 - 2 * scale * total;
  }
  // erfc(x) = e^(−x²)/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + …))))
  let fraction = x;
  for (let n = 120; n > 0; n--) fraction = x + n / 2 / fraction;
  return scale / fraction;
}

/** Φ, the normal distribution's cumulative function, accurate in its lower tail too. */
export function normalCdf(x: number): number {
  return x < 0 ? erfc(-x / Math.SQRT2) / 2 : 1 - erfc(x / Math.SQRT2) / 2;
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Activations by the names of `linear`, and `tanh` and `sigmoid`. */
export const activations = {
  none: (x: number) => x,
  relu: (x: number) => Math.max(x, 0),
  gelu: (x: number) => x * normalCdf(x),
  /** 0.5 (1 + tanh(z)) is sigmoid(2z), which keeps its precision where tanh is near −1. */
  gelu_tanh: (x: number) => x * sigmoid(2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)),
  silu: (x: number) => x * sigmoid(x),
  tanh: (x: number) => Math.tanh(x),
  sigmoid,
  quickGelu: (x: number) => x * sigmoid(1.702 * x),
  hardSwish: (x: number) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
  mish: (x: number) => x * Math.tanh(Math.log1p(Math.exp(x))),
  elu: (x: number) => (x > 0 ? x : Math.expm1(x)),
  leakyRelu: (x: number) => (x > 0 ? x : 0.01 * x),
  softplus: (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  relu2: (x: number) => Math.max(x, 0) ** 2,
  relu6: (x: number) => Math.min(Math.max(x, 0), 6),
  gelu10: (x: number) => Math.min(x * normalCdf(x), 10),
  sqrtSoftplus: (x: number) => Math.sqrt(Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  laplace: (x: number) => normalCdf((x - Math.SQRT1_2) / 0.282095),
};

export type Activation = keyof typeof activations;

export const activate = (name: Activation, x: number): number => activations[name](x);

export function activation(name: Activation, x: Reals): Reals {
  return { shape: x.shape, data: x.data.map(activations[name]) };
}
