// Small products of attention in bfloat16, with the operands and results of attention_tile.h.
#pragma once
#include "kernels/shared/attention_tile.h"
#include "kernels/shared/bfloat16.h"

namespace attention {

// One factor, packed as a whole, has at most 64 × 1024 or 128 × 128 elements. Each strip of the other is packed in turn.
inline constexpr size_t kBfloat16Floats =
    (64 + 2 * bfloat16::kMaxLanes) * (kMaxWidth + kMaxWidth / 8) + bfloat16::kTileFloats;

// Stores a tile of sums.
inline void putTile(const float* sums, size_t stride, const Result& result, size_t height, size_t width) {
  const Vf factor = splat(result.factor);
  const float* factors = result.factors;
  for (size_t r = 0; r < height; ++r) {
    eachVector(width, [&](size_t x, size_t lanes) {
      float* to = result.c + r * result.stride + x;
      const Vf sum = load(sums + r * stride + x), before = result.add ? loadLanes(to, lanes) : Vf{};
      if (factors != nullptr)
        storeLanes(to, result.add ? fused(before, splat(factors[r]), sum) : sum * splat(factors[r]), lanes);
      else
        storeLanes(to, result.add ? fused(sum, factor, before) : sum * factor, lanes);
    });
  }
}

// product<kByColumn>() in bfloat16. `memory` has space for kBfloat16Floats.
inline void bfloat16Product(bool byColumn, Factor a, Factor b, size_t rows, size_t lanes, size_t depth,
                            const Result& result, float* memory) {
  const bfloat16::Way& by = bfloat16::way();
  const size_t blocks = divideUp(depth, bfloat16::kBlock);
  const size_t leftStrip = by.leftBlock * blocks, rightStrip = by.rightBlock * blocks;
  const size_t down = divideUp(rows, by.rows), across = divideUp(lanes, by.cols);
  const bool keepsLeft = down * leftStrip < across * rightStrip;
  float* sums = memory;
  float* strip = sums + by.rows * by.cols;
  float* kept = strip + (keepsLeft ? rightStrip : leftStrip);
  const auto packLeft = [&](size_t s, float* to) {
    const size_t i = s * by.rows;
    by.packLeft(a.data + i * (byColumn ? 1 : a.stride), a.stride, byColumn, atMost(by.rows, rows - i), depth, to);
  };
  const auto packRight = [&](size_t s, float* to) {
    const size_t j = s * by.cols;
    by.packRight(b.data + j, b.stride, true, atMost(by.cols, lanes - j), depth, to);
  };
  const auto multiply = [&](size_t y, size_t x, const float* left, const float* right) {
    const size_t i = y * by.rows, j = x * by.cols;
    const size_t height = atMost(by.rows, rows - i), width = atMost(by.cols, lanes - j);
    memset(sums, 0, by.rows * by.cols * sizeof(float));
    by.multiply(left, right, blocks, sums, height, width);
    Result part = result;
    part.c += i * result.stride + j;
    if (part.factors != nullptr) part.factors += i;
    putTile(sums, by.cols, part, height, width);
  };
  if (keepsLeft) {
    for (size_t y = 0; y < down; ++y) packLeft(y, kept + y * leftStrip);
    for (size_t x = 0; x < across; ++x) {
      packRight(x, strip);
      for (size_t y = 0; y < down; ++y) multiply(y, x, kept + y * leftStrip, strip);
    }
  } else {
    for (size_t x = 0; x < across; ++x) packRight(x, kept + x * rightStrip);
    for (size_t y = 0; y < down; ++y) {
      packLeft(y, strip);
      for (size_t x = 0; x < across; ++x) multiply(y, x, strip, kept + x * rightStrip);
    }
  }
}

// A thread makes one before it computes products.
class Session {
 public:
  explicit Session(bool inBfloat16) {
    if (compiles(Part::kBfloat16) && inBfloat16) session_.emplace();
  }

 private:
  std::optional<bfloat16::Session> session_;
};

// The products of an attention kernel: of floats, or in bfloat16 if there is memory for that.
class Products {
 public:
  explicit Products(float* memory) : memory_(memory) {}

  // C = A·B with A's rows in place.
  void ofRows(Factor a, Factor b, size_t rows, size_t lanes, size_t depth, const Result& result) const {
    if (compiles(Part::kBfloat16) && memory_ != nullptr)
      bfloat16Product(false, a, b, rows, lanes, depth, result, memory_);
    else
      rowProduct(a, b, rows, lanes, depth, result);
  }
  // C = Aᵀ·B.
  void ofColumns(Factor a, Factor b, size_t rows, size_t lanes, size_t depth, const Result& result) const {
    if (compiles(Part::kBfloat16) && memory_ != nullptr)
      bfloat16Product(true, a, b, rows, lanes, depth, result, memory_);
    else
      columnProduct(a, b, rows, lanes, depth, result);
  }

 private:
  float* memory_;
};

}  // namespace attention
