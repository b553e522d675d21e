// Rows of activations as 8-bit integers, for products with packed weights of integers. Every instruction set computes
// the same bits:
//
//   - Consecutive inputs of a row share a scale s and are stored as q·s. A scale covers 64 inputs if the weight has one
//     scale per output feature, the inputs of a record if its scales are a float times integers (K-quants), and otherwise
//     32 inputs. s = largest/127. q = x·(127/largest), rounded to nearest, ties to even. All q are 0 if largest < 10⁻³⁰.
//     If an input is infinite or NaN, s is NaN, and so are all results of the row. One scale for a whole row would be too
//     coarse: real models have a few inputs that are many times as large as the others.
//   - Integers are multiplied and added exactly, in 32 bits. A part of a feature is the inputs that share s, a scale d of
//     the weight, and a minimum m. Each part adds float(Σ q·w)·(d·s), then m·(s·Σ q), in order, to a float that begins as
//     0. Every operation rounds separately. If all inputs of a feature share d, the sum is multiplied by d once, after all
//     parts. The bias comes last.
//   - Scales can be a float d of the record times integers f of its parts, and minima u·g likewise. A record then adds
//     float(Σ f·Σ q·w)·(d·s), and after it float(Σ g·Σ q)·(u·s). The sums within the brackets are exact.
//
// Layout of rows, in the order in which a tile of a product reads them:
//
//   word    four inputs in 32 bits (or two words, see Dots in simd/vec.h)
//   half    16 inputs
//   group   32 inputs, as in packed weights (formats/layout.h)
//   run     64 inputs, whose words follow one another
//   part    inputs that share all scales (see above)
//   head    scale and sum of a part (Int8Head)
//   panel   up to kInt8PanelRows rows: the first run of each row, then the second run of each row, and so on. Zeros follow
//           the last inputs. The heads come last: the first one of each row, then the second one of each row, and so on.
#pragma once
#include "formats/formats.h"

inline constexpr size_t kInt8PanelRows = kTuning.int8Rows, kHalf = kGroup / 2, kHalfWords = kHalf / 4 * Dots::kWords,
                        kGroupWords = 2 * kHalfWords;

// Groups whose words follow one another in a row.
inline constexpr size_t kRunGroups = 2, kRunWords = kRunGroups * kGroupWords;

struct Int8Head {
  float scale;
  float sum;      // scale·Σ q, or Σ q if a record has factors
  int32_t start;  // start of the sum of products: corrects the offset of the weights' bytes
};
inline constexpr size_t kHeadWords = sizeof(Int8Head) / 4;

// Groups of 32 inputs that share a scale s, if the weight has one scale per output feature.
inline constexpr size_t kRowGroups = kRunGroups;
CONSTANT("int8.runGroups", kRunGroups)

CONSTANT("int8.groupWords", kGroupWords)
CONSTANT("int8.headWords", kHeadWords)

// The size of a row: groups of inputs, parts, and words.
struct Int8Layout {
  size_t groups, parts;

  Int8Layout(IntegerKind kind, size_t inputs)
      : groups(divideUp(inputs, kGroup)), parts(kind.parts == 0 ? divideUp(groups, kRowGroups) : groups * kind.parts) {}
  size_t quadWords() const { return divideUp(groups, kRunGroups) * kRunWords; }
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

// Rounds at most 16 inputs to integers and stores them, followed by zeros. Returns the sum of the integers.
SIMD_INLINE int32_t roundHalf(const float* x, size_t inputs, float inverse, int32_t* words) {
  const Vf magic = splat(12582912.f);  // 1.5·2²³: adding it rounds to an integer
  if (inverse == 0) inputs = 0;        // tiny, infinite and NaN inputs become 0
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

// Inputs of a row that are rounded at once, all in one run, and the places of their words and first head in a panel.
struct Int8Unit {
  const float* x;
  int32_t *words, *head;
};

// Properties that the units of a panel share.
struct Int8Panel {
  size_t height;     // number of rows
  int offset;        // offset of the weights' bytes
  bool scalesTotal;  // true if heads have scale·Σ q, false if they have Σ q

  void putHead(int32_t* to, float scale, int32_t total) const {
    const float whole = static_cast<float>(total), sum = scalesTotal ? whole * scale : whole;
    memcpy(to, &scale, sizeof scale);
    memcpy(to + 1, &sum, sizeof sum);
    to[2] = -offset * total;
  }
};

// True if the scales of kWidth units are computed at once.
inline constexpr bool kScalesTogether = kWidth >= 8 && Dots::kWords == 1;

// Rounds kWidth units. A unit has kHeads parts of kHalves · 16 inputs. Each `together` consecutive units share a scale.
// Returns false, and writes nothing, if any input is infinite or NaN.
template <size_t kHeads, size_t kHalves>
bool quantizeUnits(const Int8Unit (&units)[kWidth], size_t together, const Int8Panel& panel) {
  constexpr size_t kPart = kHalves * kHalf, kInputs = kHeads * kPart;
  Vf rows[kWidth];
  for (size_t u = 0; u < kWidth; ++u) {
    Vi most = splatInt(0);
    for (size_t i = 0; i < kInputs; i += kWidth) {
      const Vi size = asInt(load(units[u].x + i)) & splatInt(0x7fffffff);
      most = size > most ? size : most;
    }
    rows[u] = asFloat(most);
  }
  transpose(rows);
  Vi most = splatInt(0);
  for (size_t u = 0; u < kWidth; ++u) {
    const Vi size = asInt(rows[u]);
    most = size > most ? size : most;
  }
  if (maximum(most) >= 0x7f800000) return false;
  alignas(64) int32_t sizes[kWidth];
  storeInts(sizes, most);
  for (size_t from = 0; together > 1 && from < kWidth; from += together) {
    int32_t size = 0;
    for (size_t u = from; u < from + together; ++u) size = sizes[u] > size ? sizes[u] : size;
    for (size_t u = from; u < from + together; ++u) sizes[u] = size;
  }
  const Vf largest = asFloat(loadInts(sizes));
  const Vf zero = splat(0.f), least = splat(1e-30f);
  alignas(64) float scales[kWidth], inverses[kWidth];
  alignas(64) int32_t sums[kWidth];
  store(scales, largest < least ? zero : largest / splat(127.f));
  store(inverses, largest < least ? zero : splat(127.f) / largest);
  const Vf magic = splat(12582912.f);
  for (size_t part = 0; part < kHeads; ++part) {
    for (size_t u = 0; u < kWidth; ++u) {
      Vi total = splatInt(0);
      for (size_t i = part * kPart; i < (part + 1) * kPart; i += kWidth) {
        const Vf value = rounded(load(units[u].x + i) * splat(inverses[u]));
        if constexpr (kTuning.prefetches) __builtin_prefetch(units[u].x + i + kWidth * kInputs);  // the next units
        const Vi rounding = asInt(value + magic) - asInt(magic);
        total = total + rounding;
        storeBytes(reinterpret_cast<int8_t*>(units[u].words) + i, rounding);
      }
      rows[u] = toFloat(total);  // exact sums
    }
    storeInts(sums, toInt(sumsOfRows(rows)));
    for (size_t u = 0; u < kWidth; ++u)
      panel.putHead(units[u].head + part * panel.height * kHeadWords, scales[u], sums[u]);
  }
  return true;
}

// Rounds a unit of `halves` · 16 inputs, of which `inputs` exist. Each `each` halves have a head.
inline void quantizeUnit(const Int8Unit& unit, Int8Scale scale, size_t inputs, size_t halves, size_t each,
                         const Int8Panel& panel) {
  int32_t total = 0;
  for (size_t half = 0; half < halves; ++half) {
    const size_t from = half * kHalf, count = from < inputs ? atMost(kHalf, inputs - from) : 0;
    total += roundHalf(unit.x + from, count, scale.inverse, unit.words + half * kHalfWords);
    if ((half + 1) % each != 0 && half + 1 < halves) continue;
    panel.putHead(unit.head + half / each * panel.height * kHeadWords, scale.scale, total);
    total = 0;
  }
}

// Rounds all rows of a panel, x [height, inputs], and stores it at `to`.
inline void quantizePanel(const float* x, size_t stride, size_t height, size_t inputs, IntegerKind kind, int32_t* to) {
  const Int8Layout layout(kind, inputs);
  Int8Panel panel{height, kind.offset, kind.factorGroups == 0};
  withDots([&](auto products) { panel.offset -= kind.bits == 8 && decltype(products)::kSigned ? 128 : 0; });
  // A unit is a group, or a run if the weight has one scale per feature. `together` units share a scale.
  const size_t groups = kind.parts == 0 ? kRowGroups : 1, heads = kind.parts == 2 ? 2 : 1, each = groups * kGroup;
  const size_t together = kind.factorGroups > 0 ? kind.factorGroups : 1;
  const auto unitOf = [&](size_t row, size_t unit) {
    const size_t group = unit * groups;
    return Int8Unit{x + row * stride + unit * each,
                    to + (group / kRunGroups * height + row) * kRunWords + group % kRunGroups * kGroupWords,
                    to + (layout.quadWords() + unit * heads * kHeadWords) * height + row * kHeadWords};
  };
  const auto quantizeOneByOne = [&](size_t row, size_t unit, size_t last) {  // units that share a scale
    const float* from = x + row * stride + unit * each;
    const Int8Scale scale = int8Scale(largestBits(from, atMost((last - unit) * each, inputs - unit * each)));
    for (; unit < last; ++unit) {
      const size_t halves = 2 * atMost(groups, layout.groups - unit * groups);
      quantizeUnit(unitOf(row, unit), scale, atMost(each, inputs - unit * each), halves, 2 * groups / heads, panel);
    }
  };
  size_t whole = 0;  // units of each row that quantizeUnits() handles
  if constexpr (kScalesTogether) {
    if (kWidth % together == 0) whole = inputs / each / together * together;
    Int8Unit units[kWidth];
    for (size_t row = 0, unit = 0; row < height && whole > 0;) {
      const size_t firstRow = row, firstUnit = unit;
      size_t count = 0;
      for (; count < kWidth && row < height; ++count) {
        units[count] = unitOf(row, unit);
        if (++unit == whole) ++row, unit = 0;
      }
      for (size_t u = count; u < kWidth; ++u) units[u] = units[u - count];
      const bool finite = kind.parts == 0 ? quantizeUnits<1, 2 * kRowGroups>(units, together, panel)
                          : heads == 1    ? quantizeUnits<1, 2>(units, together, panel)
                                          : quantizeUnits<2, 1>(units, together, panel);
      if (finite) continue;
      for (size_t done = 0, r = firstRow, u = firstUnit; done < count; done += together) {
        quantizeOneByOne(r, u, u + together);
        if ((u += together) == whole) ++r, u = 0;
      }
    }
  }
  const size_t units = divideUp(layout.groups, groups);
  for (size_t row = 0; row < height; ++row) {
    for (size_t unit = whole; unit < units; unit += together)
      quantizeOneByOne(row, unit, atMost(unit + together, units));
    if (layout.groups % kRunGroups != 0)
      memset(to + (layout.groups / kRunGroups * height + row) * kRunWords + kGroupWords, 0, kGroupWords * 4);
  }
}

inline IntegerKind kindOfFormat(uint32_t format) {
  return withFormat(format, [](auto f) { return kindOf<decltype(f)>(); });
}

// Rounds rows row ≤ r < last of x [rows, inputs]. `row` must begin a panel. The panels of the whole matrix are at `to`.
inline void quantizeRows(const float* x, size_t stride, size_t row, size_t last, size_t rows, size_t inputs,
                         IntegerKind kind, int32_t* to) {
  const size_t rowWords = Int8Layout(kind, inputs).rowWords();
  for (; row < last; row += kInt8PanelRows)
    quantizePanel(x + row * stride, stride, atMost(kInt8PanelRows, rows - row), inputs, kind, to + row * rowWords);
}
