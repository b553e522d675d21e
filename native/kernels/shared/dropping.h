// Random bits of dropout. No mask is stored: a counter-based generator gives the same bits in the backward pass, on
// every instruction set and for any number of threads.
#pragma once

// Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). It needs only
// additions, rotations and exclusive ors. Encrypts the counters (c0, c1) with the key in place, lane by lane.
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
    const uint32_t injection = round / 4 + 1;
    c0 += splatBits(keys[injection % 3]);
    c1 += splatBits(keys[(injection + 1) % 3] + injection);
  }
}

// Settings of dropout. An element is kept and multiplied by `scale` if its random bits exceed `threshold`. threshold =
// ⌈p·2³²⌉ - 1 and scale = 1 / (1 - p). The key of the generator is (seed, stream). Each 32 columns of row r use 16
// counters (i, r). The first word of a counter belongs to columns 0-15, the second to 16-31, for any vector width.
struct Dropping {
  uint32_t seed, stream, threshold;
  float scale;

  // True if dropout is active. A probability below 2⁻³² counts as 0.
  bool drops() const { return threshold > 0; }

  // Returns x · scale, or 0 if its random bits drop it.
  SIMD_INLINE Vf kept(Vf x, Vu bits) const { return bits > splatBits(threshold) ? x * splat(scale) : splat(0); }

  // Calls put(c, lanes, kept) for each vector of columns first ≤ c < end of a row; `first` must be a multiple of
  // kWidth. kept(x) returns x · scale, or 0 where x is dropped.
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
