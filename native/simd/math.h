// Elementary functions on vectors, each with the error it was measured at (against float64, over its whole range).

// e^x, within 1 ulp where the result is normal; 0 below -104, infinity above 88.7, NaN stays NaN.
// e^x = 2^k · e^r with k = round(x/ln 2), |r| ≤ ln 2/2, and a Taylor polynomial of degree 7 for e^r.
SIMD_INLINE Vf exp(Vf x) {
  const Vf clamped = min(max(splat(-104.f), x), splat(89.f));
  const Vf magic = splat(12582912.f);  // 1.5·2²³: adding it rounds to an integer
  const Vf shifted = fma(clamped, splat(1.44269504088896341f), magic);
  const Vf k = shifted - magic;
  // ln 2 in two parts, the first exact in few bits, so that r keeps its low bits.
  Vf r = fma(k, splat(-0.693145751953125f), clamped);
  r = fma(k, splat(-1.428606765330187045e-6f), r);
  Vf p = splat(1.f / 5040);
  p = fma(p, r, splat(1.f / 720));
  p = fma(p, r, splat(1.f / 120));
  p = fma(p, r, splat(1.f / 24));
  p = fma(p, r, splat(1.f / 6));
  p = fma(p, r, splat(.5f));
  p = fma(p, r, splat(1.f));
  p = fma(p, r, splat(1.f));
  // 2^k in two factors: k reaches beyond the exponents of a normal float.
  const Vi n = toInt(k);
  const Vi half = n >> 1;
  const Vf a = asFloat((half + splatInt(127)) << 23);
  const Vf b = asFloat((n - half + splatInt(127)) << 23);
  const Vf result = p * a * b;
  return x == x ? result : x;
}
