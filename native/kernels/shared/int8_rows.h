// Rows of activations as 8-bit integers, for products with packed weights of integers. Every instruction set computes
// the same bits:
//
//   - Consecutive inputs of a row that share a scale s are q·s. They are 64 inputs if the weight has one scale per output
//     feature, else 32. s = largest/127 and q = x·(127/largest), rounded to nearest, ties to even. All q are 0 if largest
//     < 10⁻³⁰. If an input is infinite or NaN, s is NaN, and so are all results of the row. One scale for a whole row
//     would be too coarse: real models have a few inputs that are many times as large as the others.
//   - Integers are multiplied and added exactly, in 32 bits. A part of a feature is the inputs that share s, a scale d of
//     the weight, and a minimum m. Each part adds float(Σ q·w)·(d·s), then m·(s·Σ q), in order, to a float that begins as
//     0. Every operation rounds separately. If all inputs of a feature share d, the sum is multiplied by d once, after all
//     parts. The bias comes last.
//
// Rows are stored in blocks of up to kInt8Rows, in the order in which a tile of a product reads them. Four inputs take
// a word (or two, see Dots in simd/vec.h). A block has the words of inputs 0 to 31 for each row, then those of inputs
// 32 to 63, and so on. Heads follow, one for each part and row.
#pragma once
#include "formats/formats.h"

inline constexpr size_t kInt8Rows = kTuning.int8Rows, kHalf = kGroup / 2, kHalfWords = kHalf / 4 * Dots::kWords,
                        kGroupWords = 2 * kHalfWords;

struct Int8Head {
  float scale;
  float sum;      // scale·Σ q
  int32_t start;  // start of the sum of products: corrects the offset of the weights' bytes
};
inline constexpr size_t kHeadWords = sizeof(Int8Head) / 4;

// Groups of 32 inputs that share a scale s, if the weight has one scale per output feature.
inline constexpr size_t kRowGroups = 2;
CONSTANT("int8.rowGroups", kRowGroups)

CONSTANT("int8.groupWords", kGroupWords)
CONSTANT("int8.headWords", kHeadWords)

// The size of a row: groups of inputs, parts, and words.
struct Int8Layout {
  size_t groups, parts;

  Int8Layout(IntegerKind kind, size_t inputs)
      : groups(divideUp(inputs, kGroup)), parts(kind.parts == 0 ? divideUp(groups, kRowGroups) : groups * kind.parts) {}
  size_t quadWords() const { return groups * kGroupWords; }
  size_t rowWords() const { return quadWords() + parts * kHeadWords; }
};

struct Int8Scale {
  float scale, inverse;
};
// Returns the scale for inputs whose largest magnitude has these bits.
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

// Rounds up to 16 inputs to integers and stores them, followed by zeros. Returns their sum.
SIMD_INLINE int32_t roundHalf(const float* x, size_t inputs, float inverse, int32_t* words) {
  const Vf magic = splat(12582912.f);  // 1.5·2²³: adding it rounds to an integer
  if (inverse == 0) inputs = 0;        // infinity and NaN become 0
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

// Inputs of a row that share a scale, and the places of their words and head in a block.
struct Int8Part {
  const float* x;
  int32_t *words, *head;
};

// Properties that the parts of a block share.
struct Int8Block {
  size_t height;  // number of rows
  int offset;     // offset of the weights' bytes

  int32_t* words(const Int8Part& part, size_t half) const {
    return part.words + half / 2 * height * kGroupWords + half % 2 * kHalfWords;
  }
  void putHead(int32_t* to, float scale, int32_t total) const {
    const Int8Head head{scale, static_cast<float>(total) * scale, -offset * total};
    memcpy(to, &head, sizeof head);
  }
};

// True if the scales of kWidth parts are computed at once.
inline constexpr bool kScalesTogether = kWidth >= 8 && Dots::kWords == 1;

// Rounds kWidth parts of kHalves · 16 inputs each. Returns false, and writes nothing, if any input is infinite or NaN.
template <size_t kHalves>
bool quantizeParts(const Int8Part (&parts)[kWidth], const Int8Block& block) {
  constexpr size_t kInputs = kHalves * kHalf;
  Vf rows[kWidth];
  for (size_t p = 0; p < kWidth; ++p) {
    Vi most = splatInt(0);
    for (size_t i = 0; i < kInputs; i += kWidth) {
      const Vi size = asInt(load(parts[p].x + i)) & splatInt(0x7fffffff);
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
  alignas(64) float scales[kWidth], inverses[kWidth];
  alignas(64) int32_t sums[kWidth];
  store(scales, largest < least ? zero : largest / splat(127.f));
  store(inverses, largest < least ? zero : splat(127.f) / largest);
  const Vf magic = splat(12582912.f);
  for (size_t p = 0; p < kWidth; ++p) {
    Vi total = splatInt(0);
    for (size_t i = 0; i < kInputs; i += kWidth) {
      const Vf value = rounded(load(parts[p].x + i) * splat(inverses[p]));
      if constexpr (kTuning.prefetches) __builtin_prefetch(parts[p].x + i + kWidth * kInputs);  // the next parts
      const Vi rounding = asInt(value + magic) - asInt(magic);
      total = total + rounding;
      storeBytes(reinterpret_cast<int8_t*>(block.words(parts[p], i / kHalf)) + i % kHalf, rounding);
    }
    rows[p] = toFloat(total);  // exact sums
  }
  storeInts(sums, toInt(sumsOfRows(rows)));
  for (size_t p = 0; p < kWidth; ++p) block.putHead(parts[p].head, scales[p], sums[p]);
  return true;
}

// Rounds a part of `halves` · 16 inputs, of which `inputs` exist. If `apart`, each half has its own head.
inline void quantizePart(const Int8Part& part, size_t inputs, size_t halves, bool apart, const Int8Block& block) {
  const Int8Scale scale = int8Scale(largestBits(part.x, inputs));
  int32_t total = 0;
  for (size_t half = 0; half < halves; ++half) {
    const size_t from = half * kHalf, count = from < inputs ? atMost(kHalf, inputs - from) : 0;
    total += roundHalf(part.x + from, count, scale.inverse, block.words(part, half));
    if (!apart) continue;
    block.putHead(part.head + half * block.height * kHeadWords, scale.scale, total);
    total = 0;
  }
  if (!apart) block.putHead(part.head, scale.scale, total);
}

// Rounds all rows of a block, x [height, inputs], and stores it at `to`.
inline void quantizeBlock(const float* x, size_t stride, size_t height, size_t inputs, IntegerKind kind, int32_t* to) {
  const Int8Layout layout(kind, inputs);
  Int8Block block{height, kind.offset};
  withDots([&](auto products) { block.offset -= kind.bits == 8 && decltype(products)::kSigned ? 128 : 0; });
  const size_t groups = kind.parts == 0 ? kRowGroups : 1, each = groups * kGroup, heads = kind.parts == 2 ? 2 : 1;
  const auto partOf = [&](size_t row, size_t part) {
    return Int8Part{x + row * stride + part * each, to + (part * groups * height + row) * kGroupWords,
                    to + (layout.quadWords() + part * heads * kHeadWords) * height + row * kHeadWords};
  };
  size_t whole = 0;  // number of complete parts per row, which are done at once
  if constexpr (kScalesTogether) {
    if (kind.parts < 2) whole = inputs / each;
    Int8Part parts[kWidth];
    for (size_t row = 0, part = 0; row < height && whole > 0;) {
      size_t count = 0;
      for (; count < kWidth && row < height; ++count) {
        parts[count] = partOf(row, part);
        if (++part == whole) ++row, part = 0;
      }
      for (size_t p = count; p < kWidth; ++p) parts[p] = parts[0];
      const bool finite = groups == 1 ? quantizeParts<2>(parts, block) : quantizeParts<2 * kRowGroups>(parts, block);
      for (size_t p = 0; p < count && !finite; ++p) quantizePart(parts[p], each, 2 * groups, false, block);
    }
  }
  for (size_t row = 0; row < height; ++row)
    for (size_t part = whole; part * groups < layout.groups; ++part) {
      const size_t there = atMost(groups, layout.groups - part * groups);
      quantizePart(partOf(row, part), atMost(each, inputs - part * each), 2 * there, kind.parts == 2, block);
    }
}

inline IntegerKind kindOfFormat(uint32_t format) {
  return withFormat(format, [](auto f) { return kindOf<decltype(f)>(); });
}

// Rounds rows row ≤ r < last of x [rows, inputs]. `row` must begin a block. The blocks of the whole matrix are at `to`.
inline void quantizeRows(const float* x, size_t stride, size_t row, size_t last, size_t rows, size_t inputs,
                         IntegerKind kind, int32_t* to) {
  const size_t rowWords = Int8Layout(kind, inputs).rowWords();
  for (; row < last; row += kInt8Rows)
    quantizeBlock(x + row * stride, stride, atMost(kInt8Rows, rows - row), inputs, kind, to + row * rowWords);
}
