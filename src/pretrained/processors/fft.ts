/**
 * The discrete Fourier transform of n complex numbers, X[k] = Σ x[j]·exp(−2πijk/n), prepared for one n. Mixed radix
 * (Cooley and Tukey, 1965) in Stockham's order, which needs no shuffling. n is cut into its prime factors, with fours
 * where possible, so that 400 takes 18 multiply-adds per number.
 */
export class Fft {
  readonly #factors: readonly number[];
  /** cos and sin of 2πj/n. */
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  readonly #spare: readonly [Float64Array, Float64Array];

  constructor(readonly n: number) {
    this.#factors = factorsOf(n);
    this.#cos = Float64Array.from({ length: n }, (_, j) => Math.cos((2 * Math.PI * j) / n));
    this.#sin = Float64Array.from({ length: n }, (_, j) => Math.sin((2 * Math.PI * j) / n));
    this.#spare = [new Float64Array(n), new Float64Array(n)];
  }

  /** Transforms in place. */
  transform(re: Float64Array, im: Float64Array): void {
    let from: readonly [Float64Array, Float64Array] = [re, im];
    let to = this.#spare;
    let done = 1; // the length of the transforms that `from` holds
    for (const radix of this.#factors) {
      this.#stage(from, to, radix, done);
      [from, to] = [to, from];
      done *= radix;
    }
    if (from[0] === re) return;
    re.set(from[0]);
    im.set(from[1]);
  }

  /** Combines `radix` transforms of length `done` into one of length `radix · done`. */
  #stage(
    [fromRe, fromIm]: readonly [Float64Array, Float64Array],
    [toRe, toIm]: readonly [Float64Array, Float64Array],
    radix: number,
    done: number,
  ): void {
    const { n } = this;
    const cos = this.#cos;
    const sin = this.#sin;
    const groups = n / (radix * done);
    for (let group = 0; group < groups; group++) {
      for (let k = 0; k < done; k++) {
        for (let q = 0; q < radix; q++) {
          // X[k + q·done] = Σ_r x_r[k] · exp(−2πi r (k + q·done) / (radix·done))
          const turn = (k + q * done) * groups;
          let sumRe = 0;
          let sumIm = 0;
          for (let r = 0, twiddle = 0; r < radix; r++) {
            const index = (r * groups + group) * done + k;
            const a = fromRe[index] as number;
            const b = fromIm[index] as number;
            const c = cos[twiddle] as number;
            const s = sin[twiddle] as number;
            sumRe += a * c + b * s;
            sumIm += b * c - a * s;
            twiddle += turn;
            if (twiddle >= n) twiddle -= n;
          }
          const into = group * radix * done + k + q * done;
          toRe[into] = sumRe;
          toIm[into] = sumIm;
        }
      }
    }
  }
}

function factorsOf(n: number): number[] {
  const factors: number[] = [];
  let remaining = n;
  for (let factor = 4; remaining > 1; factor = factor === 4 ? 2 : factor === 2 ? 3 : factor + 2) {
    for (; remaining % factor === 0; remaining /= factor) factors.push(factor);
  }
  return factors;
}
