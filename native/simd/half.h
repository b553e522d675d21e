// halves() of simd/vec.h, for sets without an instruction for it.
#pragma once

// Exponent and mantissa, shifted into the place of a float's, give a float that is 2¹¹² times too small, or a subnormal
// one. Multiplying by 2¹¹² corrects both. Infinity and NaN get the exponent of a float.
SIMD_INLINE Vf halves(const void* p) {
  const Vi half = shortsToInts(p), rest = half & splatInt(0x7fff);
  const Vi special = rest >= splatInt(0x7c00) ? splatInt(0x7f800000) : splatInt(0);
  return asFloat(asInt(asFloat(rest << 13) * splat(0x1p112f)) | special | (half & splatInt(0x8000)) << 16);
}
