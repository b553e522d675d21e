// The register tile for products of 8-bit rows (int8_rows.h) with unpacked weights: 16 output features. If 16 features
// fill a vector, it can cover several tiles of the weight.
#pragma once
#include "kernels/shared/int8_rows.h"

// Tiles of the weight that are multiplied with a row at once: enough products to hide the latency of one. They share
// the loads of the row.
inline constexpr size_t kInt8Tiles = kTuning.int8Tiles, kInt8Cols = kInt8Tiles * kTile;
inline constexpr size_t kInt8TileRows = 4;
// Groups that are unpacked per pass, and records in them, if a record has 8 groups.
inline constexpr size_t kUnpackedGroups = kInt8Tiles == 1 ? 32 : 16, kUnpackedRecords = kUnpackedGroups / 8;
static_assert(kInt8PanelRows % kInt8TileRows == 0 && (kInt8Tiles == 1 || kWidth == kTile));

// The scales of unpacked records whose scales are a float times integers, and their minima.
struct RecordFactors {
  int32_t factors[2 * kUnpackedGroups * kTile];  // [part][feature]
  float minimumFactors[2 * kUnpackedGroups * kTile];
  float units[kUnpackedRecords * kTile], minimumUnits[kUnpackedRecords * kTile];  // [record][feature]
};

// The operands of a register tile. Pointers are those of the first tile of the weight.
struct Int8Operands {
  const uint8_t* bytes;          // unpacked weights, 64 bytes for each 4 inputs
  const float *scales, *minima;  // scales and minima of each part; either may be null
  const RecordFactors* factors;  // in place of both, if scales are a float of the record times integers
  const int32_t *words, *heads;  // words and heads of consecutive rows of a panel
  const int32_t* products;       // sums of products, for StoredSums (int8_amx.h)
  size_t height;                 // number of rows of that panel
  size_t parts, halves, tail;    // number of parts; halves (16 inputs) per part; halves of the last part
  size_t recordParts;            // parts of a record, if it has factors
  bool hasMinima;                // likewise: true if records have minima
  size_t bytesStep, scalesStep;  // distances from one tile to the next
};

inline constexpr int kInt8Unrolled = kUnrolled > 1 ? 4 : 1;  // the pragma accepts a name, but no expression

SIMD_INLINE Vf splatWord(const int32_t* word) {
  float value;
  memcpy(&value, word, sizeof value);
  return splat(value);
}

// sum + a·b. Damaged rows may overflow, so it is computed without signs.
SIMD_INLINE Vi addProduct(Vi sum, Vi a, Vi b) { return (Vi)((Vu)sum + (Vu)a * (Vu)b); }

inline constexpr float kZeroSums[kInt8TileRows * kInt8Cols] = {};

// sums[row][feature] (+)= the products of kRows rows with kVecs vectors of features from `lane` on. Where a vector
// holds a whole tile, there are enough registers for the sums; otherwise they stay in memory. So they do if records have
// factors (kFactors), because these need registers for the sums of a record.
template <class Products, int kBits, bool kFactors, size_t kRows, size_t kVecs>
class Int8Lanes {
 public:
  SIMD_INLINE Int8Lanes(const Int8Operands& in, size_t lane, bool adds, float* sums)
      : in_(in),
        lane_(lane),
        bytes_(in.bytes + lane * 4),
        words_(in.words),
        heads_(in.heads),
        scales_(in.scales == nullptr ? nullptr : in.scales + lane),
        minima_(in.minima == nullptr ? nullptr : in.minima + lane),
        sums_(sums + lane),
        from_(adds ? sums_ : kZeroSums) {}

  SIMD_INLINE void multiply() {
    if constexpr (kFactors) return multiplyRecords();
    if constexpr (kHolds) eachSum([&](size_t r, size_t v) { held_[r][v] = load(from_ + place(r, v)); });
    for (size_t part = 0; part < in_.parts; ++part) {
      if constexpr (requires { Products::load(in_, part, size_t{0}, size_t{0}); })
        eachSum([&](size_t r, size_t v) { products_[r][v] = Products::load(in_, part, r, v); });
      else
        multiplyPart(part + 1 < in_.parts ? in_.halves : in_.tail);
      addPart();
    }
    if constexpr (kHolds) eachSum([&](size_t r, size_t v) { store(sums_ + place(r, v), held_[r][v]); });
  }

 private:
  static constexpr bool kWhole = kWidth == kTile, kHolds = kWhole && !kFactors;

  template <class Body>
  SIMD_INLINE static void eachSum(const Body& body) {
    eachAccumulator<kRows, kVecs>(body);
  }
  // Offset of a sum from sums_ or from_.
  static constexpr size_t place(size_t r, size_t v) { return r * kInt8Cols + v * kWidth; }
  size_t bytesStep() const { return kWhole ? in_.bytesStep : kWidth * 4; }
  size_t scalesStep() const { return kWhole ? in_.scalesStep : kWidth; }
  const int32_t* head(size_t r) const { return heads_ + r * kHeadWords; }

  SIMD_INLINE void multiplyPart(size_t halves) {
    eachSum([&](size_t r, size_t v) { products_[r][v] = Products::template begin<kBits>(head(r)[2]); });
    for (size_t half = 0; half < halves; ++half) multiplyHalf();
  }
  SIMD_INLINE Vi productOf(size_t r, size_t v) const {
    return Products::template total<kBits>(products_[r][v], head(r)[2]);
  }

  SIMD_INLINE void multiplyRecords() {
    for (size_t record = 0, part = 0; part < in_.parts; ++record) {
      const int32_t* heads = heads_;
      const size_t count = atMost(in_.recordParts, in_.parts - part);
      Vi whole[kRows][kVecs];
      eachSum([&](size_t r, size_t v) { whole[r][v] = splatInt(0); });
      for (size_t i = 0; i < count; ++i) {
        multiplyPart(in_.halves);
        eachSum([&](size_t r, size_t v) {
          whole[r][v] =
              addProduct(whole[r][v], productOf(r, v), loadInts(factorsAt(&RecordFactors::factors, part + i, v)));
        });
        heads_ += in_.height * kHeadWords;
      }
      const auto scaleOf = [&](size_t r) { return splatWord(heads + r * kHeadWords); };
      eachSum([&](size_t r, size_t v) {
        const Vf scale = load(factorsAt(&RecordFactors::units, record, v)) * scaleOf(r);
        store(sums_ + place(r, v), load(from_ + place(r, v)) + rounded(toFloat(whole[r][v]) * scale));
      });
      from_ = sums_;
      if (in_.hasMinima) {
        Vf low[kRows][kVecs];
        eachSum([&](size_t r, size_t v) { low[r][v] = splat(0.f); });
        for (size_t i = 0; i < count; ++i)
          eachSum([&](size_t r, size_t v) {  // exact
            low[r][v] += load(factorsAt(&RecordFactors::minimumFactors, part + i, v)) *
                         splatWord(heads + (i * in_.height + r) * kHeadWords + 1);
          });
        eachSum([&](size_t r, size_t v) {
          const Vf scale = load(factorsAt(&RecordFactors::minimumUnits, record, v)) * scaleOf(r);
          store(sums_ + place(r, v), load(sums_ + place(r, v)) + rounded(low[r][v] * scale));
        });
      }
      part += count;
    }
  }
  // Factors or floats of a part or record, for vector v of the features.
  template <class Member>
  SIMD_INLINE auto factorsAt(Member member, size_t at, size_t v) const {
    return kWhole ? &(in_.factors[v].*member)[at * kTile] : &(in_.factors->*member)[at * kTile + lane_ + v * kWidth];
  }

  // Adds the products of 16 inputs.
  SIMD_INLINE void multiplyHalf() {
#pragma GCC unroll kInt8Unrolled
    for (size_t k = 0; k < kHalf / 4; ++k) {
      Vi weights[kVecs];
      eachAccumulator<1, kVecs>(
          [&](size_t, size_t v) { weights[v] = loadInts(bytes_ + k * kTile * 4 + v * bytesStep()); });
      eachSum([&](size_t r, size_t v) {
        Products::template add<kBits>(products_[r][v], weights[v], words_ + r * kRunWords + k * Dots::kWords);
      });
    }
    words_ += kHalfWords;
    if (++half_ % (2 * kRunGroups) == 0) words_ += (in_.height - 1) * kRunWords;
    bytes_ += kHalf * kTile;
  }

  // Adds the products of a part, times their scales, to the sums.
  SIMD_INLINE void addPart() {
    if (scales_ == nullptr) {
      eachProduct([&](Vf sum, size_t r, Vf product, size_t) { return sum + rounded(product * splatWord(head(r))); });
    } else if (minima_ == nullptr) {
      eachProduct([&](Vf sum, size_t r, Vf product, size_t at) { return sum + scaled(r, product, at); });
    } else {
      eachProduct([&](Vf sum, size_t r, Vf product, size_t at) {
        sum += scaled(r, product, at);
        return sum + rounded(load(minima_ + at) * splatWord(head(r) + 1));
      });
      minima_ += kTile;
    }
    if (scales_ != nullptr) scales_ += kTile;
    heads_ += in_.height * kHeadWords;
    from_ = sums_;
  }

  SIMD_INLINE Vf scaled(size_t r, Vf product, size_t at) const {
    return rounded(product * (load(scales_ + at) * splatWord(head(r))));
  }

  // Replaces each sum by add(sum, r, product, at). scales_ + at and minima_ + at point to the scales and minima of the
  // product.
  template <class Add>
  SIMD_INLINE void eachProduct(const Add& add) {
    eachSum([&](size_t r, size_t v) {
      const Vf product = toFloat(productOf(r, v));
      if constexpr (kHolds)
        held_[r][v] = add(held_[r][v], r, product, v * scalesStep());
      else
        store(sums_ + place(r, v), add(load(from_ + place(r, v)), r, product, v * scalesStep()));
    });
  }

  const Int8Operands& in_;
  const size_t lane_;
  const uint8_t* bytes_;
  const int32_t *words_, *heads_;
  const float *scales_, *minima_;
  float* sums_;
  const float* from_;  // the sums before the current part
  size_t half_ = 0;    // number of halves multiplied so far
  typename Products::Sums products_[kRows][kVecs];
  Vf held_[kHolds ? kRows : 1][kHolds ? kVecs : 1];
};

// Multiplies kRows rows with `tiles` ≤ kTiles tiles.
template <class Products, int kBits, bool kFactors, size_t kRows, size_t kTiles = kInt8Tiles>
void int8Tile(const Int8Operands& in, size_t tiles, bool adds, float* sums) {
  if constexpr (kTiles > 1)
    if (tiles < kTiles) return int8Tile<Products, kBits, kFactors, kRows, kTiles - 1>(in, tiles, adds, sums);
  if constexpr (kWidth == kTile) {
    Int8Lanes<Products, kBits, kFactors, kRows, kTiles>(in, 0, adds, sums).multiply();
  } else {
    constexpr size_t kVecs = kWidth == 1 ? 4 : 2;
    for (size_t lane = 0; lane < kTile; lane += kVecs * kWidth)
      Int8Lanes<Products, kBits, kFactors, kRows, kVecs>(in, lane, adds, sums).multiply();
  }
}

using Int8Tile = void (*)(const Int8Operands& in, size_t tiles, bool adds, float* sums);

// Returns the number of rows of the largest tile that has no more than `rows`: tiles have 1, 2 or 4 rows.
inline size_t int8TileRows(size_t rows) {
  static_assert(kInt8TileRows == 4);
  return rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
}

template <class Products, int kBits, bool kFactors>
Int8Tile int8TileWith(size_t rows) {
  static constexpr Int8Tile tiles[] = {int8Tile<Products, kBits, kFactors, 1>, int8Tile<Products, kBits, kFactors, 2>,
                                       int8Tile<Products, kBits, kFactors, 4>};
  return tiles[rows / 2];
}
template <class Products, int kBits>
Int8Tile int8TileWith(bool factors, size_t rows) {
  return factors ? int8TileWith<Products, kBits, true>(rows) : int8TileWith<Products, kBits, false>(rows);
}

// The tile for products with weights of this kind, for a number of rows that int8TileRows() returns.
inline Int8Tile int8TileOf(IntegerKind kind, size_t rows) {
  const bool factors = kind.factorGroups > 0;
  Int8Tile tile = nullptr;
  withDots([&](auto products) {
    using Products = decltype(products);
    tile = int8TileWith<Products, 8>(factors, rows);
    if constexpr (Products::kBitsMatter)
      if (kind.bits < 8 || Products::takesEightBits()) tile = int8TileWith<Products, 7>(factors, rows);
    if constexpr (Products::kFourBitsMatter)
      if (kind.bits == 4) tile = int8TileWith<Products, 4>(factors, rows);
  });
  return tile;
}
