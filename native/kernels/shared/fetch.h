// Fetching from memory what will be read soon. WebAssembly cannot; there these functions do nothing.
#pragma once

#ifdef __wasm__
inline constexpr bool kPrefetches = false;
#else
inline constexpr bool kPrefetches = true;
#endif
inline constexpr int kFetchTo = 2;  // the level-2 cache: that of level 1 has what is computed with

// rows × cols floats.
inline void fetchRows(const float* from, size_t stride, size_t rows, size_t cols) {
  for (; rows > 0; --rows, from += stride)
    for (size_t c = 0; c < cols; c += 16) __builtin_prefetch(from + c, 0, kFetchTo);
}

// What lies a row behind x, where a row is gone through more than once: the first time it would wait for memory, and
// compute little meanwhile. A level-1 cache has room for two short rows. kFar: of rows that may lie in memory, never
// less than some kilobytes behind (a softmax over 768 columns is 1.25 times as fast); of others the end of a chunk is
// near, and what lies behind that is for another thread.
template <bool kFar = true>
SIMD_INLINE void fetchBehind(const float* x, size_t cols) {
  constexpr size_t kShort = 2048;
  if (cols <= kShort)
    __builtin_prefetch(x + (kFar ? kShort : cols));
  else
    __builtin_prefetch(x + cols, 0, kFetchTo);
}

// Rows that are fetched some lines at a time, one row after the other: memory gives most when it is read in order, in
// whatever order others are computed with meanwhile. Not with AVX-512: Zen 5 sees by itself what comes next, and has
// room for fewer lines that it is told of (one query beside many keys is 1.2 times as fast without).
class RowsAhead {
 public:
  static constexpr bool kFetches = kPrefetches && kWidth < 16;

  RowsAhead() = default;
  RowsAhead(const float* from, size_t stride, size_t rows, size_t cols)
      : row_(from), stride_(stride), rows_(rows), cols_(cols) {}

  // So many lines, or a few more at the end of a row.
  template <size_t kLines>
  SIMD_INLINE void fetch() {
    if constexpr (!kFetches) return;
    constexpr size_t kStep = kLines < 4 ? kLines : 4;
    for (size_t done = 0; done < kLines && rows_ > 0; done += kStep) {
#pragma GCC unroll 4
      for (size_t i = 0; i < kStep; ++i) __builtin_prefetch(row_ + col_ + i * 16, 0, kFetchTo);
      col_ += kStep * 16;
      if (col_ >= cols_) col_ = 0, row_ += stride_, --rows_;
    }
  }

 private:
  const float* row_ = nullptr;
  size_t stride_ = 0, rows_ = 0, cols_ = 0, col_ = 0;
};
