// The elements that dropout drops. No mask is stored: the bits come from a counter-based generator, so the backward
// pass, every instruction set and every thread count make the same bits.
#pragma once

// Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): additions,
// rotations and exclusive ors, which every vector unit has. Encrypts the counter (c0, c1) with the key in place, lane
// by lane.
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

// The settings of dropout. An element with bits(r, c) > threshold is kept and multiplied by scale, with threshold =
// ⌈p·2³²⌉ - 1 and scale = 1/(1-p). The bits are keyed by (seed, stream). Each 32 columns of a row r take 16 counters
// (i, r), i = 0 …: the first word of each is for columns 0-15, the second for 16-31, for any vector width.
struct Dropping {
  uint32_t seed, stream, threshold;
  float scale;

  // True if anything is dropped. A probability below 2⁻³² counts as 0.
  bool drops() const { return threshold > 0; }

  // x, or 0 if its random bits drop it.
  SIMD_INLINE Vf kept(Vf x, Vu bits) const { return bits > splatBits(threshold) ? x * splat(scale) : splat(0); }

  // Calls put(c, lanes, kept) for the vectors of columns first ≤ c < end of a row, `first` a multiple of kWidth. `kept`
  // multiplies its argument by scale or 0.
  template <class Put>
  SIMD_INLINE void eachVector(uint64_t row, uint64_t first, uint64_t end, const Put& put) const {
    for (uint64_t block = first / 32; 32 * block < end; ++block) {
      for (uint64_t lane = 0; lane < 16; lane += kWidth) {
        const uint64_t c = 32 * block + lane;
        if ((c < first && c + 16 < first) || (c >= end && c + 16 >= end)) continue;
        Vu low = laneNumbers() + splatBits(static_cast<uint32_t>(16 * block + lane));
        Vu high = splatBits(static_cast<uint32_t>(row));
        threefry(low, high, seed, stream);
        const auto part = [&](uint64_t column, Vu bits) {
          if (column < first || column >= end) return;
          put(column, column + kWidth <= end ? kWidth : end - column, [&](Vf x) { return kept(x, bits); });
        };
        part(c, low);
        part(c + 16, high);
      }
    }
  }
};
