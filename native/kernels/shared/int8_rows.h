// Rows of activations as integers of 8 bits, for products with packed weights of integers. This is what they mean, on
// every instruction set alike, to the bit:
//
//   - The inputs of a row that share a scale, 64 where the weight has one for each output feature, else 32, are q·s:
//     s = largest/127, q = x·(127/largest) rounded to nearest, of two the even one. Where largest < 10⁻³⁰ all are 0; if
//     any is infinite or NaN, s is NaN and so is every result of the row. One scale for a whole row would be too
//     coarse: rows of real models have a few inputs that are many times as large as the others.
//   - Integers are multiplied and added exactly, in 32 bits. Of a feature's parts (of inputs that share s, a scale d of
//     the weight, and a minimum m) each adds float(Σ q·w)·(d·s), then m·(s·Σ q), in order, to a float that begins as 0:
//     every operation rounds by itself. A d that all inputs share is multiplied with once instead, after all parts. The
//     bias comes last.
//
// Rows are kept in blocks of up to kInt8Rows, in the order in which a tile of a product reads them: of 4 inputs each a
// word (or two, see Dots in simd/vec.h), those of 16 inputs of one row after another, then the next 16; and behind them
// a head for each part and row.
#pragma once
#include "formats/formats.h"

inline constexpr size_t kInt8Rows = kTuning.int8Rows, kHalf = kGroup / 2, kHalfWords = kHalf / 4 * Dots::kWords;

struct Int8Head {
  float scale;
  float sum;      // scale·Σ q
  int32_t start;  // of the sum of products, for what the weights' bytes are off
};
inline constexpr size_t kHeadWords = sizeof(Int8Head) / 4;

// Groups of inputs that share a scale where the weight has one for each output feature.
inline constexpr size_t kRowGroups = 2;
CONSTANT("int8.rowGroups", kRowGroups)

CONSTANT("int8.groupWords", 2 * kHalfWords)
CONSTANT("int8.headWords", kHeadWords)

// Words of a row of so many inputs.
struct Int8Layout {
  size_t groups, parts;

  Int8Layout(IntegerKind kind, size_t inputs)
      : groups(divideUp(inputs, kGroup)), parts(kind.parts == 0 ? divideUp(groups, kRowGroups) : groups * kind.parts) {}
  size_t quadWords() const { return groups * 2 * kHalfWords; }
  size_t rowWords() const { return quadWords() + parts * kHeadWords; }
};

struct Int8Scale {
  float scale, inverse;
};
// `most`: the bits of the largest value, without a sign.
inline Int8Scale int8Scale(int32_t most) {
  if (most >= 0x7f800000) return {NAN, 0};
  float largest;
  memcpy(&largest, &most, sizeof largest);
  if (largest < 1e-30f) return {0, 0};
  return {largest / 127, 127 / largest};
}

inline int32_t largestBits(const float* x, size_t inputs) {
  Vi most = splatInt(0);
  eachVector(inputs, [&](size_t c, size_t lanes) {
    const Vi size = asInt(loadLanes(x + c, lanes)) & splatInt(0x7fffffff);
    most = size > most ? size : most;
  });
  return maximum(most);
}

// Where the words of a row's inputs from 16·half on lie.
struct Int8Row {
  int32_t* block;
  size_t height, row;
  int32_t* words(size_t half) const { return block + (half * height + row) * kHalfWords; }
};

// Up to 16 inputs as integers, zeros behind them. Returns their sum.
SIMD_INLINE int32_t roundHalf(const float* x, size_t inputs, float inverse, int32_t* words) {
  const Vf magic = splat(12582912.f);  // 1.5·2²³: adding it rounds to an integer
  if (inverse == 0) inputs = 0;        // what is infinite or NaN is no integer
  int8_t bytes[kHalf];
  Vi total = splatInt(0);
  for (size_t i = 0; i < kHalf; i += kWidth) {
    const Vf value = i + kWidth <= inputs ? load(x + i) : i < inputs ? loadLanes(x + i, inputs - i) : splat(0.f);
    const Vi rounding = asInt(rounded(value * splat(inverse)) + magic) - asInt(magic);
    total = total + rounding;
    storeBytes(bytes + i, rounding);
  }
  if constexpr (Dots::kWords == 1) {
    memcpy(words, bytes, sizeof bytes);
  } else {
    for (size_t k = 0; k < kHalf / 4; ++k) {
      const int8_t* four = bytes + 4 * k;
      words[2 * k] = (four[0] & 0xffff) | static_cast<int32_t>(static_cast<uint32_t>(four[2]) << 16);
      words[2 * k + 1] = (four[1] & 0xffff) | static_cast<int32_t>(static_cast<uint32_t>(four[3]) << 16);
    }
  }
  return sum(total);
}

// Whether many scales are made at once, those of as many parts as a vector has lanes.
inline constexpr bool kScalesTogether = kWidth == kHalf && Dots::kWords == 1;

// The first `kWidth` parts of x, of kHalves · 16 inputs each, whose words begin at those of `half`; false, and nothing
// done, if any input is infinite or NaN. scales and sums: of the parts.
template <size_t kHalves>
bool quantizeParts(const float* x, const Int8Row& to, size_t half, float* scales, int32_t* sums) {
  Vf rows[kWidth];
  for (size_t p = 0; p < kWidth; ++p) {
    Vi most = splatInt(0);
    for (size_t h = 0; h < kHalves; ++h) {
      const Vi size = asInt(load(x + (p * kHalves + h) * kHalf)) & splatInt(0x7fffffff);
      most = size > most ? size : most;
    }
    rows[p] = asFloat(most);
  }
  transpose(rows);
  Vi most = splatInt(0);
  for (size_t p = 0; p < kWidth; ++p) {
    const Vi size = asInt(rows[p]);
    most = size > most ? size : most;
  }
  if (maximum(most) >= 0x7f800000) return false;
  const Vf largest = asFloat(most), zero = splat(0.f), least = splat(1e-30f);
  alignas(64) float inverses[kWidth];
  store(scales, largest < least ? zero : largest / splat(127.f));
  store(inverses, largest < least ? zero : splat(127.f) / largest);
  const Vf magic = splat(12582912.f);
  for (size_t p = 0; p < kWidth; ++p) {
    Vi total = splatInt(0);
    for (size_t h = 0; h < kHalves; ++h) {
      const Vf value = rounded(load(x + (p * kHalves + h) * kHalf) * splat(inverses[p]));
      const Vi rounding = asInt(value + magic) - asInt(magic);
      total = total + rounding;
      storeBytes(to.words(half + p * kHalves + h), rounding);
    }
    rows[p] = toFloat(total);  // whose sums are exact
  }
  storeInts(sums, toInt(sumsOfRows(rows)));
  return true;
}

// One row of a block of `height`.
inline void quantizeRow(const float* x, size_t inputs, IntegerKind kind, const Int8Row& to) {
  const Int8Layout layout(kind, inputs);
  int offset = kind.offset;
  withDots([&](auto products) { offset -= kind.bits == 8 && decltype(products)::kSigned ? 128 : 0; });
  int32_t* heads = to.block + layout.quadWords() * to.height;
  const auto putHead = [&](size_t part, float scale, int32_t total) {
    const Int8Head head{scale, static_cast<float>(total) * scale, -offset * total};
    memcpy(heads + (part * to.height + to.row) * kHeadWords, &head, sizeof head);
  };
  const size_t together = kind.parts == 0 ? kRowGroups : 1;
  size_t done = 0;
  if constexpr (kScalesTogether) {
    const size_t each = kWidth * together;
    alignas(64) float scales[kWidth];
    alignas(64) int32_t sums[kWidth];
    for (; kind.parts < 2 && (done + each) * kGroup <= inputs; done += each) {
      const float* from = x + done * kGroup;
      const bool finite = together == 1 ? quantizeParts<2>(from, to, 2 * done, scales, sums)
                                        : quantizeParts<4>(from, to, 2 * done, scales, sums);
      if (!finite) break;
      for (size_t p = 0; p < kWidth; ++p) putHead(done / together + p, scales[p], sums[p]);
    }
  }
  for (size_t g = done; g < layout.groups; g += together) {
    const size_t first = g * kGroup, last = atMost(inputs, first + together * kGroup);
    const Int8Scale scale = int8Scale(largestBits(x + first, last - first));
    int32_t total = 0;
    for (size_t half = 2 * g; half < 2 * atMost(g + together, layout.groups); ++half) {
      const size_t from = half * kHalf, count = from < last ? atMost(kHalf, last - from) : 0;
      total += roundHalf(x + from, count, scale.inverse, to.words(half));
      if (kind.parts == 2) putHead(half, scale.scale, total), total = 0;
    }
    if (kind.parts < 2) putHead(g / together, scale.scale, total);
  }
}

inline IntegerKind kindOfFormat(uint32_t format) {
  return withFormat(format, [](auto f) { return kindOf<decltype(f)>(); });
}

// Rows from `row` to below `last` of x, which begin a block, as all blocks of a matrix of `rows` rows lie at `to`.
inline void quantizeRows(const float* x, size_t stride, size_t row, size_t last, size_t rows, size_t inputs,
                         IntegerKind kind, int32_t* to) {
  const size_t rowWords = Int8Layout(kind, inputs).rowWords();
  for (; row < last; ++row) {
    const size_t first = row / kInt8Rows * kInt8Rows;
    quantizeRow(x + row * stride, inputs, kind, {to + first * rowWords, atMost(kInt8Rows, rows - first), row - first});
  }
}
