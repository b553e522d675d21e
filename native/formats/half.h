// Conversions of single 16-bit floats. simd/ has those of vectors.
#pragma once

SIMD_INLINE float halfToFloat(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;
  const uint32_t special = rest >= 0x7c00 ? 0x7f800000u : 0;
  const uint32_t shifted = rest << 13;
  float value;
  memcpy(&value, &shifted, sizeof value);
  value *= 0x1p112f;
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  bits |= sign | special;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Converts to IEEE float16, rounding to nearest, ties to even.
inline uint16_t floatToHalf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  if (rest > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
  if (rest >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // 65520 and more become infinity
  if (rest < 0x38800000) {                                              // below 2⁻¹⁴: steps of 2⁻²⁴
    float size;
    memcpy(&size, &rest, sizeof size);
    size += .5f;  // in [½, 1) the last bit is 2⁻²⁴, so the sum is rounded to a step
    uint32_t sum;
    memcpy(&sum, &size, sizeof sum);
    return static_cast<uint16_t>(sign | (sum - 0x3f000000));
  }
  return static_cast<uint16_t>(sign | ((rest + 0xfff + (rest >> 13 & 1) - 0x38000000) >> 13));
}

inline uint16_t floatToBrain(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
