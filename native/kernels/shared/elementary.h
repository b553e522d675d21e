// Elementary functions on vectors, in addition to simd/math.h: powers, sines, exponential and logarithm near 1, and
// rounding. Powers and sines compute in doubles.
#pragma once

inline constexpr double kRoundsDouble = 6755399441055744.0;  // 1.5·2⁵²: adding it rounds to an integer

// terms[0]·x^(n-1) + … + terms[n-1], by Horner's rule.
template <size_t kTerms>
SIMD_INLINE Vd polynomial(Vd x, const double (&terms)[kTerms]) {
  Vd p = splatDouble(terms[0]);
#pragma GCC unroll 16
  for (size_t i = 1; i < kTerms; ++i) p = p * x + splatDouble(terms[i]);
  return p;
}

// ln x for x ≥ 0, with a relative error of 2⁻⁴²; infinite at 0 and at infinity.
// x = 2^k·m with m in [√½, √2), as in log(). ln m = 2·artanh s with s = (m - 1)/(m + 1), by its series in s² ≤ 0.03.
SIMD_INLINE Vd logInDouble(Vf x) {
  const Vi subnormal = x < splat(1.17549435e-38f);
  const Vf scaled = subnormal ? x * splat(8388608.f) : x;  // · 2²³
  const Vi shifted = (asInt(scaled) & splatInt(0x7fffffff)) - splatInt(0x3f3504f3);
  const Vd k = toDouble(toFloat((shifted >> 23) - (subnormal ? splatInt(23) : splatInt(0))));
  const Vd m = toDouble(asFloat((shifted & splatInt(0x007fffff)) + splatInt(0x3f3504f3)));
  const Vd s = (m - splatDouble(1)) / (m + splatDouble(1));
  static constexpr double kSeries[] = {2. / 15, 2. / 13, 2. / 11, 2. / 9, 2. / 7, 2. / 5, 2. / 3, 2};
  const Vd result = k * splatDouble(.693147180559945309) + s * polynomial(s * s, kSeries);
  const Vd wide = toDouble(x), infinity = splatDouble(INFINITY);
  return wide > splatDouble(0) ? (wide < infinity ? result : wide) : -infinity;
}

// e^t, rounded once to float32, also for subnormal results. t may be infinite, but must not be NaN.
SIMD_INLINE Vf expOfDouble(Vd t) {
  const Vd least = splatDouble(-110), most = splatDouble(90);
  const Vd above = t > least ? t : least, held = above < most ? above : most;
  const Vd shifted = held * splatDouble(1.44269504088896341) + splatDouble(kRoundsDouble);
  const Vd r = held - (shifted - splatDouble(kRoundsDouble)) * splatDouble(.693147180559945309);
  static constexpr double kSeries[] = {1. / 362880, 1. / 40320, 1. / 5040, 1. / 720, 1. / 120,
                                       1. / 24,     1. / 6,     1. / 2,    1,        1};
  return toSingle(asDouble(asLong(polynomial(r, kSeries)) + (asLong(shifted) << 52)));  // · 2^k, k in the low bits
}

// x^y within 0.6 ulp, with the special cases of C's pow(). It is 1 for y = 0 and for x = 1, even if the other argument
// is NaN. It is NaN for a negative x and a fractional y.
SIMD_INLINE Vf pow(Vf x, Vf y) {
  const Vf base = absolute(x), even = splat(16777216.f);  // all floats from 2²⁴ on are even
  const Vf power = expOfDouble(toDouble(y) * logInDouble(base));
  const Vf size = base == splat(1.f) ? base : power;
  const Vf held = min(even, max(-even, y == y ? y : splat(0.f)));
  const Vi whole = toInt(held);
  const Vi negative = asInt(x) < splatInt(0);
  const Vf odd = (whole & splatInt(1)) != splatInt(0) ? -size : size;
  const Vf fraction = x == splat(0.f) ? size : (x == splat(-INFINITY) ? size : splat(NAN));
  const Vf result = negative ? (toFloat(whole) == held ? odd : fraction) : size;
  const Vf number = x == x ? (y == y ? result : y) : x;
  return y == splat(0.f) ? splat(1.f) : (x == splat(1.f) ? x : number);
}

// sin x and cos x, within 1 ulp or 1e-7 for all x. In double precision, x = r + quarters·π/2 with |r| ≤ π/4. π/2 is
// split in two parts, the first of which has few enough bits that its multiples are exact. The C library handles huge
// arguments.
inline constexpr float kHugeAngle = 1.6e6f;
struct ReducedAngle {
  Vf r;
  Vi quarters;
};
SIMD_INLINE ReducedAngle reduceAngle(Vf x) {
  const Vd angle = toDouble(absolute(x) < splat(kHugeAngle) ? x : splat(0.f));
  const Vd k = angle * splatDouble(.636619772367581343) + splatDouble(kRoundsDouble) - splatDouble(kRoundsDouble);
  const Vd near = angle - k * splatDouble(1.57079632673412561417);
  return {toSingle(near - k * splatDouble(6.07710050650619224932e-11)), toInt(toSingle(k))};
}

// sin(r + quarters·π/2), with the polynomials of Cephes' sinf and cosf.
SIMD_INLINE Vf sineOf(Vf r, Vi quarters) {
  const Vf square = r * r;
  static constexpr float kSine[] = {-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f};
  static constexpr float kCosine[] = {2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f};
  const Vf sine = fma(polynomial(square, kSine) * square, r, r);
  const Vf cosine = fma(square * square, polynomial(square, kCosine), fma(square, splat(-.5f), splat(1.f)));
  const Vf value = (quarters & splatInt(1)) != splatInt(0) ? cosine : sine;
  return (quarters & splatInt(2)) != splatInt(0) ? -value : value;
}

// Returns `result`, replaced by f(x) of the C library where x is huge, infinite or NaN.
template <class Function>
SIMD_INLINE Vf unlessHuge(Vf x, Vf result, const Function& f) {
  float angles[kWidth], values[kWidth];
  store(angles, x);
  store(values, result);
  for (size_t i = 0; i < kWidth; ++i)
    if (!(std::fabs(angles[i]) < kHugeAngle)) values[i] = static_cast<float>(f(static_cast<double>(angles[i])));
  return load(values);
}

SIMD_INLINE Vf sin(Vf x) {
  const ReducedAngle t = reduceAngle(x);
  const Vf result = x == splat(0.f) ? x : sineOf(t.r, t.quarters);
  return unlessHuge(x, result, [](double angle) { return std::sin(angle); });
}
SIMD_INLINE Vf cos(Vf x) {
  const ReducedAngle t = reduceAngle(x);
  return unlessHuge(x, sineOf(t.r, t.quarters + splatInt(1)), [](double angle) { return std::cos(angle); });
}

// e^x - 1 for x ≤ 0, within 3 ulp. Near 0 it uses a series, because exp(x) - 1 would cancel.
SIMD_INLINE Vf expMinusOne(Vf x) {
  static constexpr float kSeries[] = {1.f / 40320, 1.f / 5040, 1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, .5f};
  const Vf near = fma(polynomial(x, kSeries) * x, x, x);
  return x > splat(-.5f) ? near : exp(x) - splat(1.f);
}

// ln(1 + e) for 0 ≤ e ≤ 1, within 2 ulp. The second term restores the part of e that 1 + e rounds off.
SIMD_INLINE Vf logOnePlus(Vf e) {
  const Vf whole = rounded(splat(1.f) + e);
  return log(whole) + (e - (whole - splat(1.f))) / whole;
}

// Round to the nearest integer, ties to even, and to the greatest integer ≤ x. Floats from 2²³ on are integers.
SIMD_INLINE Vf roundToEven(Vf x) {
  const Vf magic = splat(8388608.f), size = absolute(x);
  const Vf nearest = asFloat(asInt(rounded(size + magic) - magic) | (asInt(x) & splatInt(INT32_MIN)));
  return size < magic ? nearest : x;
}
SIMD_INLINE Vf floor(Vf x) {
  const Vf nearest = roundToEven(x);
  return nearest > x ? nearest - splat(1.f) : nearest;
}

SIMD_INLINE Vf signOf(Vf x) {  // 0 for NaN, as in PyTorch
  return (x > splat(0.f) ? splat(1.f) : splat(0.f)) - (x < splat(0.f) ? splat(1.f) : splat(0.f));
}
