// lookUp() of simd/vec.h, for sets without an instruction for it.
#pragma once

SIMD_INLINE Vi lookUp(Vi v, const uint8_t* table) {
  uint8_t bytes[sizeof v];
  memcpy(bytes, &v, sizeof v);
  for (uint8_t& byte : bytes) byte = table[byte & 15];
  memcpy(&v, bytes, sizeof v);
  return v;
}
