// exp2NonPositive() of simd/vec.h, for sets without special instructions.
#pragma once
#include "simd/polynomial.h"

// 2^x = 2^k · 2^r with k = round(x). A polynomial for 2^r, |r| ≤ ½, is fitted to the relative error (9.2e-8) and exact
// at 0.
// Adding 1.5·2²³ rounds x to an integer in the low bits of the sum. Adding 126 more makes these bits the exponent of
// 2^(k-1). From k = -126 down that exponent is 0, and so is the float. The polynomial is doubled to make up for the
// lost factor 2.
SIMD_INLINE Vf exp2NonPositive(Vf x) {
  static constexpr float kP[] = {2 * 1.326472706e-3f, 2 * 9.671512649e-3f, 2 * 5.550733744e-2f,
                                 2 * .2402224209f,    2 * .6931469776f,    2.f};
  const Vf magic = splat(12582912.f + 126);
  const Vf clamped = min(splat(0.f), max(splat(-126.f), x));
  const Vf shifted = clamped + magic;
  return polynomial(clamped - (shifted - magic), kP) * asFloat(asInt(shifted) << 23);
}
