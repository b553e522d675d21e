// Copies of parts of matrices in the order in which inner loops read them: narrow, dense, or transposed.
#pragma once

// Transposes in [rows, cols] by vectors. Calls put(c, r, v, n) with v = in[r … r+n-1, c] and n ≤ kWidth, until all
// elements are covered. Lanes from n on are 0.
template <class Put>
SIMD_INLINE void transposed(const float* in, size_t stride, size_t rows, size_t cols, const Put& put) {
  for (size_t r = 0; r < rows; r += kWidth) {
    const size_t height = atMost(kWidth, rows - r);
    for (size_t c = 0; c < cols; c += kWidth) {
      const size_t width = atMost(kWidth, cols - c);
      const float* corner = in + r * stride + c;
      Vf block[kWidth];
      if (height == kWidth &&
          width == kWidth) {  // unrolled, because values with a run-time index would not stay in registers
#pragma GCC unroll 16
        for (size_t i = 0; i < kWidth; ++i) block[i] = load(corner + i * stride);
        transpose(block);
#pragma GCC unroll 16
        for (size_t i = 0; i < kWidth; ++i) put(c + i, r, block[i], kWidth);
      } else {
        for (size_t i = 0; i < kWidth; ++i) block[i] = i < height ? loadLanes(corner + i * stride, width) : Vf{};
        transpose(block);
        for (size_t i = 0; i < width; ++i) put(c + i, r, block[i], height);
      }
    }
  }
}

// out[c, r] = in[r, c]. Rows are padded with zeros to whole vectors.
inline void packTransposed(const float* in, size_t stride, size_t rows, size_t cols, float* out, size_t outStride) {
  transposed(in, stride, rows, cols, [&](size_t c, size_t r, Vf v, size_t) { store(out + c * outStride + r, v); });
}

// out[r, c] = in[r, c]. Columns are padded with zeros to whole vectors.
inline void packRows(const float* in, size_t stride, size_t rows, size_t cols, float* out, size_t outStride) {
  for (size_t r = 0; r < rows; ++r)
    eachVector(cols,
               [&](size_t c, size_t lanes) { store(out + r * outStride + c, loadLanes(in + r * stride + c, lanes)); });
}
