// Float16 (IEEE) and BFloat16 (the upper half of a float32). A group has 32 inputs of 16 features, two bytes each: [32,
// 16].
#pragma once

template <class Self>
struct SixteenBits {
  static constexpr size_t kBlockBytes = 2 * kGroup, kTileHead = 0, kHead = 0, kGroups = 1;
  static constexpr size_t kGroupBytes = 2 * kTile * kGroup;

  static void pack(const uint8_t* block, size_t lane, uint8_t* record) {
    for (size_t i = 0; i < kGroup; ++i) copyHalf(record + 2 * (i * kTile + lane), block + 2 * i);
  }
  static void block(const uint8_t* record, size_t lane, uint8_t* to) {
    for (size_t i = 0; i < kGroup; ++i) copyHalf(to + 2 * i, record + 2 * (i * kTile + lane));
  }
  static void unpack(const GroupAt& at, size_t stride, float* to) {
    for (size_t i = 0; i < kGroup; ++i)
      for (size_t lane = 0; lane < kTile; lane += kWidth)
        store(to + i * stride + lane, Self::values(at.group + 2 * (i * kTile + lane)));
  }
};

struct Float16 : SixteenBits<Float16> {
  static constexpr const char* kName = "float16";
  static constexpr GgufType kGguf{"F16", 1};
  SIMD_INLINE static Vf values(const uint8_t* from) { return halves(from); }
};

struct BFloat16 : SixteenBits<BFloat16> {
  static constexpr const char* kName = "bfloat16";
  static constexpr GgufType kGguf{"BF16", 30};
  SIMD_INLINE static Vf values(const uint8_t* from) { return asFloat(shortsToInts(from) << 16); }
};
