#pragma once
#include "simd/polynomial.h"

// Computes 2^x = 2^k · 2^r with k = round(x), and a polynomial for 2^r, fitted to the relative error on
// |r| ≤ ½ (9.2e-8), 1 at 0. Adding 1.5·2²³ rounds to an integer in the low bits; adding 126 more makes them the
// exponent of 2^(k-1), whose float is 0 from k = -126 on. The polynomial is twice as large.
SIMD_INLINE Vf exp2NonPositive(Vf x) {
  static constexpr float kP[] = {2 * 1.326472706e-3f, 2 * 9.671512649e-3f, 2 * 5.550733744e-2f,
                                 2 * .2402224209f,    2 * .6931469776f,    2.f};
  const Vf magic = splat(12582912.f + 126);
  const Vf clamped = min(splat(0.f), max(splat(-126.f), x));
  const Vf shifted = clamped + magic;
  return polynomial(clamped - (shifted - magic), kP) * asFloat(asInt(shifted) << 23);
}
