// The activations y = f(x) and their derivatives on vectors, for the activation kernels and for whoever fuses them.
#pragma once

enum Activation : uint32_t { kNone, kRelu, kGelu, kGeluTanh, kSilu, kSigmoid, kTanh, kActivations };
CONSTANT("activation.none", kNone)
CONSTANT("activation.relu", kRelu)
CONSTANT("activation.gelu", kGelu)
CONSTANT("activation.gelu_tanh", kGeluTanh)
CONSTANT("activation.silu", kSilu)
CONSTANT("activation.sigmoid", kSigmoid)
CONSTANT("activation.tanh", kTanh)

// e^(-x²/2) with what GELU needs of it: u = |x| and the tail beyond it. Past 15 the tail is 0 in a float.
struct Normal {
  Vf gaussian, u, tail;
};
SIMD_INLINE Normal normal(Vf x) {
  const Vf u = min(splat(15.f), absolute(x));
  const Vf gaussian = exp2NonPositive(u * u * splat(-.7213475204f));
  return {gaussian, u, normalTail(u, gaussian)};
}

// s = 1 / (1 + e^-z) and its derivative s·(1-s), without the cancellation in 1-s.
struct Logistic {
  Vf s, slope;
};
SIMD_INLINE Logistic logistic(Vf z) {
  const Vf e = exp2NonPositive(absolute(z) * splat(-1.442695041f));
  const Vf large = splat(1.f) / (splat(1.f) + e);
  const Vf small = e * large;
  return {z < splat(0.f) ? small : large, small * large};
}

// The argument of GELU's tanh form, doubled: 0.5·(1 + tanh z) = sigmoid(2z), z = √(2/π)·(x + 0.044715·x³).
inline constexpr float kTwoSqrtTwoOverPi = 1.5957691216057308f;
SIMD_INLINE Vf geluTanhArgument(Vf x) {
  return x * fma(x * x, splat(kTwoSqrtTwoOverPi * .044715f), splat(kTwoSqrtTwoOverPi));
}

SIMD_INLINE Vf clamp(Vf x, float limit) { return min(splat(limit), max(splat(-limit), x)); }  // NaN stays NaN

// f(x), NaN for NaN. Measured: gelu, geluTanh and silu within 1.2e-7·|x| (gelu within 2.1e-6 of itself down to x = -6),
// sigmoid within 1.1e-7, tanh as in math.h.
template <Activation kind>
SIMD_INLINE Vf activate(Vf x) {
  if constexpr (kind == kRelu) return max(splat(0.f), x);
  if constexpr (kind == kGelu) {  // x·Φ(x) (Hendrycks, Gimpel 2016, arXiv 1606.08415)
    const Normal n = normal(x);
    return max(splat(0.f), x) - n.u * n.tail;
  }
  if constexpr (kind == kGeluTanh) return x * logistic(geluTanhArgument(x)).s;
  if constexpr (kind == kSilu) return x * logistic(x).s;
  if constexpr (kind == kSigmoid) return logistic(x).s;
  if constexpr (kind == kTanh) return tanh(x);
  return x;
}

// f'(x), within 2.6e-7. relu'(0) = 0. Arguments are clamped where the slope is flat, so that no infinity meets a zero.
template <Activation kind>
SIMD_INLINE Vf activationSlope(Vf x) {
  if constexpr (kind == kRelu) return x > splat(0.f) ? splat(1.f) : splat(0.f);
  if constexpr (kind == kGelu) {  // Φ(x) + x·φ(x)
    const Normal n = normal(x);
    const Vf density = n.gaussian * splat(.3989422804014327f);  // 1/√2π
    return fma(clamp(x, 15.f), density, x > splat(0.f) ? splat(1.f) - n.tail : n.tail);
  }
  if constexpr (kind == kGeluTanh) {  // s + x·s'·(2z)'
    const Vf held = clamp(x, 10.f);
    const Logistic l = logistic(geluTanhArgument(held));
    const Vf inner = fma(held * held, splat(3 * kTwoSqrtTwoOverPi * .044715f), splat(kTwoSqrtTwoOverPi));
    return fma(held * inner, l.slope, l.s);
  }
  if constexpr (kind == kSilu) {  // s + x·s'
    const Logistic l = logistic(x);
    return fma(clamp(x, 105.f), l.slope, l.s);
  }
  if constexpr (kind == kSigmoid) return logistic(x).slope;
  if constexpr (kind == kTanh) return splat(4.f) * logistic(x + x).slope;  // tanh x = 2·sigmoid(2x) - 1
  return splat(1.f);
}

// Calls body(std::integral_constant<Activation, kind>{}), so that loops are compiled once for each activation and
// branch once.
template <class Body>
SIMD_INLINE void withActivation(uint32_t kind, const Body& body) {
  switch (kind) {
    case kRelu:
      return body(std::integral_constant<Activation, kRelu>{});
    case kGelu:
      return body(std::integral_constant<Activation, kGelu>{});
    case kGeluTanh:
      return body(std::integral_constant<Activation, kGeluTanh>{});
    case kSilu:
      return body(std::integral_constant<Activation, kSilu>{});
    case kSigmoid:
      return body(std::integral_constant<Activation, kSigmoid>{});
    case kTanh:
      return body(std::integral_constant<Activation, kTanh>{});
    default:
      return body(std::integral_constant<Activation, kNone>{});
  }
}
