// Polynomials by Horner's rule.
#pragma once

// terms[0]·x^(n-1) + … + terms[n-1].
template <size_t kTerms>
SIMD_INLINE Vf polynomial(Vf x, const float (&terms)[kTerms]) {
  const float* term = inMemory(terms);
  Vf p = splat(term[0]);
#pragma GCC unroll 16
  for (size_t i = 1; i < kTerms; ++i) p = fma(p, x, splat(term[i]));
  return p;
}
