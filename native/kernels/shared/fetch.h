// Fetching from memory what will be read soon. WebAssembly cannot; there these functions do nothing.
#pragma once

inline constexpr int kFetchTo = 2;  // the level-2 cache: that of level 1 has what is computed with

// rows × cols floats.
inline void fetchRows(const float* from, size_t stride, size_t rows, size_t cols) {
  for (; rows > 0; --rows, from += stride)
    for (size_t c = 0; c < cols; c += 16) __builtin_prefetch(from + c, 0, kFetchTo);
}

// What lies a row behind x, where a row is gone through more than once: the first time it would wait for memory, and
// compute little meanwhile. Two short rows fit into a level-1 cache.
SIMD_INLINE void fetchBehind(const float* x, size_t cols) {
  constexpr size_t kShort = 2048;
  if (cols <= kShort)
    __builtin_prefetch(x + cols);
  else
    __builtin_prefetch(x + cols, 0, kFetchTo);
}
