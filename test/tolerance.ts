// Tolerance of a float32 result beside its float64 reference. One derivation serves all ops:
//
// A sum of n terms, added in any order in float32, is off by at most n·u·Σ|tᵢ| to first order. u is 2⁻²⁴ (Higham,
// Accuracy and Stability of Numerical Algorithms, §4.2). Roundings err up and down alike, so the error grows as √n. It
// is at most λ·√n·u·Σ|tᵢ| with probability 1 − 2·exp(−λ²/2) (Higham and Mary, A New Approach to Probabilistic Rounding
// Error Analysis, 2019). Besides its longest sum, an op takes a few steps per element: a product, a division, an
// exponential. Each is exact to a unit or two in the last place, c·u together. Hence
//
//   |error| ≤ (c + λ·√n) · u · magnitude
//
// The magnitude stands for Σ|tᵢ|, to which the roundings are relative. It exceeds the result where terms cancel. It is
// the result itself plus its change per relative change of the inputs (its condition): see `conditionOf`. If that is
// unknown, the largest result of the tensor replaces it.

const UNIT_ROUNDOFF = 2 ** -24;
const STEPS = 8;
const LAMBDA = 4;
/** Results below the smallest normal float32 may be flushed to zero. */
const MIN_NORMAL = 2 ** -126;

/** The error allowed at the end of sums of `length` terms whose absolute values sum to `magnitude`. */
export function allowedError(length: number, magnitude: number): number {
  return (STEPS + LAMBDA * Math.sqrt(length)) * UNIT_ROUNDOFF * magnitude + MIN_NORMAL;
}

/**
 * The change of each result of `f` when every input changes by a relative step, up or down at random: about √Σ(xᵢ ∂y/∂xᵢ)².
 * `f` is evaluated at inputs scaled element by element by the factors that `jitter` hands out.
 */
export function conditionOf(f: (jitter: () => number) => Float64Array, sign: () => number): Float64Array {
  const step = 2 ** -20; // far above float64's roundoff, far below where f bends
  const exact = f(() => 1);
  const condition = new Float64Array(exact.length);
  for (let draw = 0; draw < 8; draw++) {
    const moved = f(() => 1 + step * sign());
    for (let i = 0; i < exact.length; i++) {
      const change = Math.abs(moved[i]! - exact[i]!) / step;
      if (change > condition[i]!) condition[i] = change;
    }
  }
  return condition;
}

export function largest(values: ArrayLike<number>): number {
  let max = 0;
  for (let i = 0; i < values.length; i++) if (Math.abs(values[i]!) > max) max = Math.abs(values[i]!);
  return max;
}

/** Throws, showing the worst element, unless every value is as close to its reference as `allowed(i)`. */
export function assertClose(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  allowed: (i: number) => number,
): void {
  if (actual.length !== expected.length) {
    throw new Error(`${what}: ${actual.length} values, expected ${expected.length}`);
  }
  let worst = -1;
  let worstRatio = 1;
  let wrong = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) continue;
    const ratio = Math.abs(actual[i]! - expected[i]!) / allowed(i);
    if (ratio <= 1) continue;
    wrong++;
    if (worst < 0 || !(ratio <= worstRatio)) {
      worst = i;
      worstRatio = ratio;
    }
  }
  if (wrong === 0) return;
  const { [worst]: got } = actual;
  throw new Error(
    `${what}: ${wrong} of ${expected.length} values are wrong; at ${worst} got ${got}, expected ${expected[worst]} ` +
      `± ${allowed(worst).toExponential(2)} (off by ${worstRatio.toPrecision(3)} times that)`,
  );
}
