// Activation functions y = f(x) and their derivatives on vectors. The activation kernels and kernels with a fused
// activation use them.
#pragma once
#include "kernels/shared/elementary.h"

enum Activation : uint32_t {
  kNone,
  kRelu,
  kGelu,
  kGeluTanh,
  kSilu,
  kSigmoid,
  kTanh,
  kQuickGelu,
  kHardSwish,
  kMish,
  kElu,
  kLeakyRelu,
  kSoftplus,
  kActivations
};
CONSTANT("activation.none", kNone)
CONSTANT("activation.relu", kRelu)
CONSTANT("activation.gelu", kGelu)
CONSTANT("activation.gelu_tanh", kGeluTanh)
CONSTANT("activation.silu", kSilu)
CONSTANT("activation.sigmoid", kSigmoid)
CONSTANT("activation.tanh", kTanh)
CONSTANT("activation.quickGelu", kQuickGelu)
CONSTANT("activation.hardSwish", kHardSwish)
CONSTANT("activation.mish", kMish)
CONSTANT("activation.elu", kElu)
CONSTANT("activation.leakyRelu", kLeakyRelu)
CONSTANT("activation.softplus", kSoftplus)

// Terms of GELU: u = |x|, limited to 15, the gaussian e^(-u²/2), and the tail 1 - Φ(u). Beyond 15 the tail is 0 in
// float32.
struct Normal {
  Vf gaussian, u, tail;
};
SIMD_INLINE Normal normal(Vf x) {
  const Vf u = min(splat(15.f), absolute(x));
  const Vf gaussian = exp2NonPositive(u * u * splat(-.7213475204f));
  return {gaussian, u, normalTail(u, gaussian)};
}

// s = 1 / (1 + e^-z) and its derivative s·(1 - s), computed without the cancellation in 1 - s.
struct Logistic {
  Vf s, slope;
};
SIMD_INLINE Logistic logistic(Vf z) {
  const Vf e = exp2NonPositive(absolute(z) * splat(-1.442695041f));
  const Vf large = splat(1.f) / (splat(1.f) + e);
  const Vf small = e * large;
  return {z < splat(0.f) ? small : large, small * large};
}

// The argument of GELU's tanh approximation, doubled: 0.5·(1 + tanh z) = sigmoid(2z) with z = √(2/π)·(x + 0.044715·x³).
inline constexpr float kTwoSqrtTwoOverPi = 1.5957691216057308f;
SIMD_INLINE Vf geluTanhArgument(Vf x) {
  return x * fma(x * x, splat(kTwoSqrtTwoOverPi * .044715f), splat(kTwoSqrtTwoOverPi));
}

SIMD_INLINE Vf clamp(Vf x, float limit) { return min(splat(limit), max(splat(-limit), x)); }  // NaN stays NaN

// The factor in x·sigmoid(1.702·x), an approximation of GELU (Hendrycks, Gimpel 2016, arXiv 1606.08415).
inline constexpr float kQuickGeluFactor = 1.702f;

// The second factor of hard swish, x·min(max(x + 3, 0), 6)/6 (Howard et al. 2019, arXiv 1905.02244).
SIMD_INLINE Vf hardSigmoid(Vf x) { return min(splat(6.f), max(splat(0.f), x + splat(3.f))) * splat(1.f / 6); }

// Terms of Mish, x·tanh(ln(1 + e^x)) (Misra 2019, arXiv 1908.08681). The tanh is n / (n + 2) with n = e^x·(e^x + 2).
struct Mish {
  Vf e, n;
};
SIMD_INLINE Mish mishParts(Vf x) {
  const Vf e = exp(min(splat(20.f), x));
  return {e, e * (e + splat(2.f))};
}

// ELU: x for x > 0, else alpha·(e^x - 1) (Clevert et al. 2015, arXiv 1511.07289).
SIMD_INLINE Vf elu(Vf x, Vf alpha) { return x > splat(0.f) ? x : alpha * expMinusOne(x); }
SIMD_INLINE Vf eluSlope(Vf x, Vf alpha) { return x <= splat(0.f) ? alpha * exp(x) : splat(1.f); }

// Leaky ReLU: x for x > 0, else low·x.
SIMD_INLINE Vf leakyRelu(Vf x, Vf low) { return x > splat(0.f) ? x : low * x; }
SIMD_INLINE Vf leakyReluSlope(Vf x, Vf low) { return x > splat(0.f) ? splat(1.f) : low; }

// Softplus: ln(1 + e^(beta·x)) / beta, or x where beta·x > threshold.
SIMD_INLINE Vf softplus(Vf x, Vf beta, Vf threshold) {
  const Vf z = beta * x;
  const Vf soft = (max(splat(0.f), z) + logOnePlus(exp(-absolute(z)))) / beta;
  return z > threshold ? x : soft;
}
SIMD_INLINE Vf softplusSlope(Vf x, Vf beta, Vf threshold) {
  const Vf z = beta * x;
  return z > threshold ? splat(1.f) : logistic(z).s;
}

// Default parameters of ELU, leaky ReLU and softplus. Fused activations always use them.
inline constexpr float kEluAlpha = 1, kLeakyReluSlope = .01f, kSoftplusBeta = 1, kSoftplusThreshold = 20;

// f(x); NaN stays NaN. Measured errors: gelu, geluTanh and silu within 1.2e-7·|x|, sigmoid within 1.1e-7, tanh as in
// math.h. The relative error of gelu is at most 2.1e-6 down to x = -6.
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
  if constexpr (kind == kQuickGelu) return x * logistic(x * splat(kQuickGeluFactor)).s;
  if constexpr (kind == kHardSwish) return x * hardSigmoid(x);
  if constexpr (kind == kMish) {
    const Mish m = mishParts(x);
    return x * (m.n / (m.n + splat(2.f)));
  }
  if constexpr (kind == kElu) return elu(x, splat(kEluAlpha));
  if constexpr (kind == kLeakyRelu) return leakyRelu(x, splat(kLeakyReluSlope));
  if constexpr (kind == kSoftplus) return softplus(x, splat(kSoftplusBeta), splat(kSoftplusThreshold));
  return x;
}

// f'(x), within 2.6e-7; relu'(0) = 0. Arguments are clamped where the slope is constant, so that infinity is never
// multiplied by 0.
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
  if constexpr (kind == kQuickGelu) {
    const Logistic l = logistic(x * splat(kQuickGeluFactor));
    return fma(clamp(x, 62.f) * splat(kQuickGeluFactor), l.slope, l.s);
  }
  if constexpr (kind == kHardSwish) {
    const Vf inside = fma(x, splat(1.f / 3), splat(.5f));
    return x < splat(3.f) ? (x > splat(-3.f) ? inside : splat(0.f)) : splat(1.f);
  }
  if constexpr (kind == kMish) {  // t + x·(1 - t²)·sigmoid(x), t = tanh(softplus(x))
    const Mish m = mishParts(x);
    const Vf below = splat(1.f) / (m.n + splat(2.f));
    const Vf slope = splat(4.f) * m.e * below * ((m.e + splat(1.f)) * below);
    return fma(clamp(x, 105.f), slope, m.n * below);
  }
  if constexpr (kind == kElu) return eluSlope(x, splat(kEluAlpha));
  if constexpr (kind == kLeakyRelu) return leakyReluSlope(x, splat(kLeakyReluSlope));
  if constexpr (kind == kSoftplus) return softplusSlope(x, splat(kSoftplusBeta), splat(kSoftplusThreshold));
  return splat(1.f);
}

// Calls body(std::integral_constant<Activation, kind>{}), so that the loops in `body` are compiled for each activation
// and branch once.
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
    case kQuickGelu:
      return body(std::integral_constant<Activation, kQuickGelu>{});
    case kHardSwish:
      return body(std::integral_constant<Activation, kHardSwish>{});
    case kMish:
      return body(std::integral_constant<Activation, kMish>{});
    case kElu:
      return body(std::integral_constant<Activation, kElu>{});
    case kLeakyRelu:
      return body(std::integral_constant<Activation, kLeakyRelu>{});
    case kSoftplus:
      return body(std::integral_constant<Activation, kSoftplus>{});
    default:
      return body(std::integral_constant<Activation, kNone>{});
  }
}
