// Elementary functions on vectors: exp, log, tanh, and the tail of the normal distribution. Each states its measured
// error against float64 over its whole range.

// e^x, within 1.2 ulp (1 with FMA) if the result is normal. It is 0 below -104 and infinity above 88.7; NaN stays NaN.
// e^x = 2^k · e^r with k = round(x / ln 2) and |r| ≤ ln 2 / 2. A Taylor polynomial of degree 7 gives e^r.
SIMD_INLINE Vf exp(Vf x) {
  const Vf clamped = min(max(splat(-104.f), x), splat(89.f));
  const Vf magic = splat(12582912.f);  // 1.5·2²³: adding it rounds to an integer
  const Vf shifted = fma(clamped, splat(1.44269504088896341f), magic);
  const Vf k = shifted - magic;
  // ln 2 in two parts. The first has few significant bits, so its product with k is exact and r keeps its low bits.
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
  // 2^k as a product of two factors, because k may exceed the exponent range of normal floats.
  const Vi n = toInt(k);
  const Vi half = n >> 1;
  const Vf a = asFloat((half + splatInt(127)) << 23);
  const Vf b = asFloat((n - half + splatInt(127)) << 23);
  const Vf result = p * a * b;
  return x == x ? result : x;
}

SIMD_INLINE Vf absolute(Vf x) { return asFloat(asInt(x) & splatInt(0x7fffffff)); }

// ln x, within 0.9 ulp: -infinity at 0, NaN below 0.
// x = 2^k · (1 + f) with f in [√½ - 1, √2 - 1). ln(1 + f) = f - f²/2 + f³·p(f), where p is fitted to the relative error
// of the result.
SIMD_INLINE Vf log(Vf x) {
  const Vi subnormal = x < splat(1.17549435e-38f);
  const Vf scaled = subnormal ? x * splat(8388608.f) : x;  // · 2²³
  // Subtracting the bits of √½ borrows from the exponent exactly if the mantissa is less than that of √½. The sign bit
  // is cleared so that the subtraction cannot overflow.
  const Vi shifted = (asInt(scaled) & splatInt(0x7fffffff)) - splatInt(0x3f3504f3);
  const Vf k = toFloat((shifted >> 23) - (subnormal ? splatInt(23) : splatInt(0)));
  const Vf f = asFloat((shifted & splatInt(0x007fffff)) + splatInt(0x3f3504f3)) - splat(1.f);
  static constexpr float kP[] = {-.07632224962f, .127606524f,  -.1316060746f, .1420191242f,
                                 -.1662332878f,  .2000121967f, -.2500082175f, .3333333178f};
  const Vf p = polynomial(f, kP);
  const Vf square = f * f;
  // ln 2 in two parts, as in exp(); the small terms come first.
  Vf result = fma(p * square, f, k * splat(1.428606765330187045e-6f));
  result = fma(square, splat(-.5f), result) + f;
  result = fma(k, splat(.693145751953125f), result);
  result = x == splat(INFINITY) ? x : result;
  result = x == splat(0.f) ? splat(-INFINITY) : result;
  return x >= splat(0.f) ? result : splat(NAN);
}

// tanh x, within 5.5 ulp and never beyond ±1. The quotient x · p(x²) / q(x²) is fitted to the relative error on |x| ≤
// 9.1. Beyond that the result rounds to ±1.
SIMD_INLINE Vf tanh(Vf x) {
  const Vf clamped = min(splat(9.1f), max(splat(-9.1f), x));  // this order of the operands lets NaN pass
  const Vf square = clamped * clamped;
  static constexpr float kP[] = {1.318618951e-8f, 2.048810285e-5f, 3.488259562e-3f, .1337486228f, 1.f};
  const Vf p = polynomial(square, kP);
  static constexpr float kQ[] = {7.707789588e-7f, 3.273633892e-4f, .025849124f, .4670817661f, 1.f};
  const Vf q = polynomial(square, kQ);
  return min(splat(1.f), max(splat(-1.f), clamped * p / q));
}

// The upper tail of the normal distribution, 1 - Φ(u) = (1 - erf(u/√2)) / 2 for 0 ≤ u ≤ 15, given e^(-u²/2). The
// relative error is 5e-7 plus that of e^(-u²/2); computing 1 - erf would cancel for large u. The quotient of
// polynomials is fitted on this range.
SIMD_INLINE Vf normalTail(Vf u, Vf gaussian) {
  static constexpr float kP[] = {4.149796533e-3f, .04085974827f, .1839085221f, .4392060736f, .5f};
  const Vf p = polynomial(u, kP);
  static constexpr float kQ[] = {.01040188543f, .1024263285f, .4712478997f, 1.205303662f, 1.676297147f, 1.f};
  const Vf q = polynomial(u, kQ);
  return gaussian * p / q;
}

// e^x for x ≤ 0, by exp2NonPositive: 0 below -87, otherwise with a relative error of 2 ulp + |x| · 1e-7. This is enough
// for the terms of a sum whose largest term is 1.
SIMD_INLINE Vf expNonPositive(Vf x) { return exp2NonPositive(x * splat(1.44269504088896341f)); }
