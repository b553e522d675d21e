// Software prefetching. In WebAssembly these functions do nothing.
#pragma once

inline constexpr int kFetchTo =
    2;  // locality argument of __builtin_prefetch: level 2, because the data in use fills level 1

// Prefetches rows × cols floats.
inline void fetchRows(const float* from, size_t stride, size_t rows, size_t cols) {
  for (; rows > 0; --rows, from += stride)
    for (size_t c = 0; c < cols; c += 16) __builtin_prefetch(from + c, 0, kFetchTo);
}

// Prefetches the data that follows the row at x, for kernels that pass over a row several times. Call it in the first
// pass, which computes least and would otherwise wait for memory. Short rows are prefetched into level 1, which holds
// two of them.
//
// With kFar, for rows in memory, short rows are prefetched 8 KB ahead, perhaps several rows: a softmax over 768 columns
// is 1.25 times as fast. Do not use kFar for rows in a cache. Their chunks are small, and data further ahead belongs to
// another thread.
template <bool kFar = true>
SIMD_INLINE void fetchBehind(const float* x, size_t cols) {
  constexpr size_t kShort = 2048;
  if (cols <= kShort)
    __builtin_prefetch(x + (kFar ? kShort : cols));
  else
    __builtin_prefetch(x + cols, 0, kFetchTo);
}

// Prefetches a matrix during other work, a few cache lines at a time. It goes row by row, because memory is fastest
// when it is read in order.
class RowsAhead {
 public:
  RowsAhead() = default;
  RowsAhead(const float* from, size_t stride, size_t rows, size_t cols)
      : row_(from), stride_(stride), rows_(rows), cols_(cols) {}

  // Prefetches kLines cache lines, or a few more at the end of a row.
  template <size_t kLines>
  SIMD_INLINE void fetch() {
    if constexpr (!kTuning.fetchesSharedKeys) return;
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
