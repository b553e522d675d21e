// Dropout (Srivastava et al. 2014), inverted: what is kept is scaled by 1/(1-p). No mask is stored: the bits come from
// a counter-based generator, so backward makes them again and every instruction set and thread count makes the same.

// Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): only additions,
// rotations and exclusive ors, which every vector unit has. Encrypts the counter (c0, c1) with the key in place, a lane
// at a time.
SIMD_INLINE void threefry(Vu& c0, Vu& c1, uint32_t key0, uint32_t key1) {
  constexpr int kRotations[] = {13, 15, 26, 6, 17, 29, 16, 24};
  const uint32_t keys[] = {key0, key1, key0 ^ key1 ^ 0x1BD11BDAu};
  c0 += splatBits(keys[0]);
  c1 += splatBits(keys[1]);
#pragma GCC unroll 20
  for (uint32_t round = 0; round < 20; ++round) {
    c0 += c1;
    c1 = rotateLeft(c1, kRotations[round % 8]) ^ c0;
    if (round % 4 != 3) continue;
    const uint32_t turn = round / 4 + 1;
    c0 += splatBits(keys[turn % 3]);
    c1 += splatBits(keys[(turn + 1) % 3] + turn);
  }
}

// y[r, c] = bits(r, c) > threshold ? scale·x[r, c] : 0 (+ y[r, c] if accumulate), with threshold = ⌈p·2³²⌉ - 1 and
// scale = 1/(1-p). The gradient is the same kernel from dy to dx.
// The bits are keyed by (seed, stream). Each 32 columns take 16 counters (i, r), i = 0 …: the first word of each is for
// columns 0-15, the second for 16-31, whatever the vector width.
struct Dropout {
  static constexpr const char* name = "dropout";
  static constexpr const char* signature =
      "in:x inout:y u32:rows u32:cols u32:xStride u32:yStride u32:seed u32:stream u32:threshold f32:scale "
      "u32:accumulate";
  Span x, y;
  uint32_t rows, cols, xStride, yStride, seed, stream, threshold;
  float scale;
  uint32_t accumulate;

  const char* check() const {
    REQUIRE(x.covers(rows, cols, xStride), "x is smaller than rows, cols and xStride say");
    REQUIRE(y.covers(rows, cols, yStride), "y is smaller than rows, cols and yStride say");
    return nullptr;
  }

  void run(Context& context) const {
    const uint64_t blocks = (uint64_t{cols} + 31) / 32;
    const auto dropBlocks = [&](uint64_t row, uint64_t lastRow, uint64_t firstBlock, uint64_t lastBlock) {
      for (; row < lastRow; ++row) {
        const float* source = context.f32(x) + row * xStride;
        float* target = context.f32(y) + row * yStride;
        for (uint64_t block = firstBlock; block < lastBlock; ++block)
          for (uint64_t lane = 0; lane < 16; lane += kWidth) {
            Vu first = laneNumbers() + splatBits(static_cast<uint32_t>(16 * block + lane));
            Vu second = splatBits(static_cast<uint32_t>(row));
            threefry(first, second, seed, stream);
            apply(source, target, 32 * block + lane, first);
            apply(source, target, 32 * block + lane + 16, second);
          }
      }
    };
    parallelBlocks(context.team, rows, blocks, 256, dropBlocks);
  }

 private:
  void apply(const float* source, float* target, uint64_t column, Vu bits) const {
    const auto drop = [&](size_t lanes) {
      const Vf kept = bits > splatBits(threshold) ? loadLanes(source + column, lanes) * splat(scale) : splat(0);
      storeLanes(target + column, accumulate == 0 ? kept : kept + loadLanes(target + column, lanes), lanes);
    };
    if (column + kWidth <= cols) {
      drop(kWidth);
    } else if (column < cols) {
      drop(cols - column);
    }
  }
};
KERNEL(Dropout)
