// The encoding of numbers that ranks send to each other.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace simdformer {

enum class Wire { kFloat32, kFloat16, kBfloat16 };

// Convert float32 to 16 bits (to nearest, ties to even) and back.
inline uint16_t toBfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>(bits >> 16 | 0x40);  // NaN stays NaN
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float fromBfloat16(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline uint16_t toFloat16(float value) { return std::bit_cast<uint16_t>(static_cast<_Float16>(value)); }

inline float fromFloat16(uint16_t half) { return static_cast<float>(std::bit_cast<_Float16>(half)); }

// Convert arrays to 16 bits and back. unpack() reads `count` numbers from number `at` on.
inline void pack(const float* from, size_t count, Wire wire, std::vector<char>& to) {
  to.resize(count * 2);
  auto* half = reinterpret_cast<uint16_t*>(to.data());
  for (size_t i = 0; i < count; i++) half[i] = wire == Wire::kFloat16 ? toFloat16(from[i]) : toBfloat16(from[i]);
}

inline void unpack(const char* from, size_t at, size_t count, Wire wire, float* to) {
  const auto* half = reinterpret_cast<const uint16_t*>(from) + at;
  for (size_t i = 0; i < count; i++) to[i] = wire == Wire::kFloat16 ? fromFloat16(half[i]) : fromBfloat16(half[i]);
}

}  // namespace simdformer
