// The product of 8-bit rows (int8_rows.h) with some tiles of a packed weight, on one thread. Some groups of the tiles
// at a time are unpacked to bytes and stay in a cache while all rows are multiplied with them. So the product is
// compiled once for all formats.
#pragma once
#include "kernels/shared/int8_unpack.h"

// Groups of a pass with few rows, whose time is that of reading weights. The next groups are read meanwhile.
inline constexpr size_t kFewGroups = 8;
// Maximum number of rows for which weights are unpacked in registers, and of rows that are multiplied at once.
inline constexpr size_t kFewTogether = kInt8PanelRows < 8 ? kInt8PanelRows : 8;
inline constexpr size_t kInt8FewRows = kTuning.int8InRegisters ? 2 * kFewTogether : 0;
// A lower limit, where AMX can multiply these weights. For 16 rows, AMX takes two thirds of the time of unpacking in
// registers; for 8 rows it takes longer.
inline constexpr size_t kFewBesideTiles = 12;

// Adds the parts of a record, times their scales, to the sums of kRows rows × kVecs vectors.
template <class Format, size_t kRows, size_t kVecs>
class Int8RecordSums {
 public:
  // `heads`: those of the record's first part.
  SIMD_INLINE explicit Int8RecordSums(const int32_t* heads) : heads_(heads) {
    if constexpr (kHasFactors<Format>) eachSum([&](size_t r, size_t v) { whole_[r][v] = splatInt(0); });
  }

  // Adds a part, whose products are exact integers.
  SIMD_INLINE void addPart(const GroupAt& at, size_t part, size_t lane, const int32_t* heads,
                           const Vi (&products)[kRows][kVecs], Vf (&total)[kRows][kVecs]) {
    eachAccumulator<1, kVecs>([&](size_t, size_t v) {
      const size_t from = lane + v * kWidth;
      if constexpr (kHasFactors<Format>) {
        const Vi factor = Format::factor(at, part, from);
        eachRow([&](size_t r) { whole_[r][v] = addProduct(whole_[r][v], products[r][v], factor); });
      } else {
        const Vf scale = Format::scale(at, part, from);
        eachRow([&](size_t r) {
          total[r][v] += rounded(toFloat(products[r][v]) * (scale * splatWord(heads + r * kHeadWords)));
        });
        if constexpr (Format::kMinima) {
          const Vf minimum = Format::minimum(at, part, from);
          eachRow([&](size_t r) { total[r][v] += rounded(minimum * splatWord(heads + r * kHeadWords + 1)); });
        }
      }
    });
  }

  // Adds the sums of a record of `groups` groups, whose first is `at`. `height`: number of heads of a part.
  SIMD_INLINE void finish([[maybe_unused]] GroupAt at, [[maybe_unused]] size_t groups, [[maybe_unused]] size_t height,
                          [[maybe_unused]] size_t lane, [[maybe_unused]] Vf (&total)[kRows][kVecs]) const {
    if constexpr (kHasFactors<Format>) {
      const auto add = [&](size_t r, size_t v, Vf sum, Vf unit) {
        total[r][v] += rounded(sum * (unit * splatWord(heads_ + r * kHeadWords)));
      };
      eachSum([&](size_t r, size_t v) { add(r, v, toFloat(whole_[r][v]), Format::unit(at, lane + v * kWidth)); });
      if constexpr (Format::kMinima) {
        Vf low[kRows][kVecs];
        eachSum([&](size_t r, size_t v) { low[r][v] = splat(0.f); });
        const int32_t* heads = heads_;
        for (size_t i = 0; i < groups; ++i, at.group += Format::kGroupBytes)
          for (size_t part = 0; part < Format::kParts; ++part, heads += height * kHeadWords)
            eachSum([&](size_t r, size_t v) {  // exact
              const Vf minimum = toFloat(Format::minimumFactor(at, part, lane + v * kWidth));
              low[r][v] = fma(minimum, splatWord(heads + r * kHeadWords + 1), low[r][v]);
            });
        eachSum([&](size_t r, size_t v) { add(r, v, low[r][v], Format::minimumUnit(at, lane + v * kWidth)); });
      }
    }
  }

 private:
  template <class Body>
  SIMD_INLINE static void eachSum(const Body& body) {
    eachAccumulator<kRows, kVecs>(body);
  }
  template <class Body>
  SIMD_INLINE static void eachRow(const Body& body) {
    eachAccumulator<kRows, 1>([&](size_t r, size_t) { body(r); });
  }

  const int32_t* heads_;
  Vi whole_[kRows][kVecs];
};

// The product of kRows rows with kVecs vectors of a tile's features, from `lane` on. Weights are unpacked in registers,
// which is as fast as memory. The rows belong to a panel of `height` rows; `words` and `heads` point to those of the
// first row. Records and their groups have separate loops, so that the head of a record is converted once.
template <class Products, class Format, size_t kRows, size_t kVecs>
__attribute__((noinline)) void int8Few(const uint8_t* tile, size_t lane, const int32_t* words, const int32_t* heads,
                                       size_t height, size_t groups, float* sums) {
  constexpr size_t kSteps = kQuads / Format::kParts;
  Vf total[kRows][kVecs];
  eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) { total[r][v] = splat(0.f); });
  bool isSecond = false;  // true for the second group of a run
  for (size_t record = 0; record * Format::kGroups < groups; ++record) {
    const GroupAt first = groupAt<Format>(tile, record * Format::kGroups);
    const size_t count = atMost(Format::kGroups, groups - record * Format::kGroups);
    Int8RecordSums<Format, kRows, kVecs> sumsOfRecord(heads);
    for (size_t number = 0; number < count; ++number) {
      const GroupAt at{tile, first.head, first.group + number * Format::kGroupBytes, number};
      if (lane == 0) fetchAhead<Format>(at);
#pragma GCC unroll 2
      for (size_t part = 0; part < Format::kParts; ++part, heads += height * kHeadWords) {
        typename Products::Sums products[kRows][kVecs];
        eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) {
          products[r][v] = Products::template begin<Format::kBits>(heads[r * kHeadWords + 2]);
        });
#pragma GCC unroll 8
        for (size_t k = part * kSteps; k < (part + 1) * kSteps; ++k) {
          Vi weights[kVecs];
          eachAccumulator<1, kVecs>(
              [&](size_t, size_t v) { weights[v] = Format::bytes(at.group, k, lane + v * kWidth); });
          const int32_t* x = words + k * Dots::kWords;
          eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) {
            Products::template add<Format::kBits>(products[r][v], weights[v], x + r * kRunWords);
          });
        }
        Vi wholes[kRows][kVecs];
        eachAccumulator<kRows, kVecs>([&](size_t r, size_t v) {
          wholes[r][v] = Products::template total<Format::kBits>(products[r][v], heads[r * kHeadWords + 2]);
        });
        sumsOfRecord.addPart(at, part, lane, heads, wholes, total);
      }
      words += isSecond ? (height - 1) * kRunWords + kGroupWords : kGroupWords;
      isSecond = !isSecond;
    }
    sumsOfRecord.finish(first, count, height, lane, total);
  }
  eachAccumulator<kRows, kVecs>(
      [&](size_t r, size_t v) { store(sums + r * kInt8Cols + lane + v * kWidth, total[r][v]); });
}

// The product of all features of a tile with all `height` rows of a panel. It processes as many rows at once as fit
// into registers, then half as many, and so on.
template <class Products, class Format, size_t kRows>
void int8FewRows(const uint8_t* tile, const int32_t* panel, const Int8Layout& layout, size_t height, size_t row,
                 float* sums) {
  constexpr size_t kSums = 2 * kFewTogether, kAll = kTile / kWidth,
                   kVecs = kRows * kAll < kSums ? kAll : kSums / kRows / 2;
  static_assert(kAll % kVecs == 0);
  const int32_t* heads = panel + layout.quadWords() * height;
  for (; height - row >= kRows; row += kRows)
    for (size_t lane = 0; lane < kTile; lane += kVecs * kWidth)
      int8Few<Products, Format, kRows, kVecs>(tile, lane, panel + row * kRunWords, heads + row * kHeadWords, height,
                                              layout.groups, sums + row * kInt8Cols);
  if constexpr (kRows > 1) int8FewRows<Products, Format, kRows / 2>(tile, panel, layout, height, row, sums);
}

// The number of rows to begin with. Half as many without VNNI: few processors with AVX-512 lack it, and the addon is smaller.
template <class Products>
inline constexpr size_t kFewAtOnce = Products::kBitsMatter && kFewTogether > 4 ? 4 : kFewTogether;

inline void multiplyFew(uint32_t format, const PackedTiles& tiles, const int32_t* x, size_t rows,
                        const Int8Layout& layout, float* sums) {
  withFormat(format, [&](auto f) {
    using Format = decltype(f);
    if constexpr (kindOf<Format>().parts > 0)
      withDots([&](auto products) {
        using Products = decltype(products);
        for (size_t t = 0; t < tiles.count; ++t)
          for (size_t row = 0; row < rows; row += kInt8PanelRows)
            int8FewRows<Products, Format, kFewAtOnce<Products>>(tiles.at(t), x + row * layout.rowWords(), layout,
                                                                atMost(kInt8PanelRows, rows - row), 0,
                                                                sums + row * kInt8Cols + t * kTile);
      });
  });
}

// Rows in the form of int8_rows.h, at most kInt8MaxRows. Their panels begin at `x`.
struct Int8Rows {
  const int32_t* x;
  size_t count, inputs;
};

// The product of some tiles with some rows, without the scale that all inputs of a feature share, if there is one.
// done(row, height, sums) is called as soon as rows from `row` on are complete, with sums[r][feature]. The caller can
// then write their results while the next rows are multiplied.
template <class Done>
class Int8Product {
 public:
  // `next` points to the tiles that follow, which are prefetched meanwhile. It is null if there are too few rows to
  // hide this.
  Int8Product(uint32_t format, const PackedTiles& tiles, const PackedTiles* next, const Int8Rows& rows,
              Int8Memory& memory, const Done& done)
      : format_(format),
        kind_(kindOfFormat(format)),
        tiles_(tiles),
        next_(next),
        rows_(rows),
        layout_(kind_, rows.inputs),
        memory_(memory),
        done_(done) {}

  void multiply() {
    if constexpr (kInt8FewRows > 0) {
      if (rows_.count <= fewRows() && kind_.parts > 0) {
        multiplyFew(format_, tiles_, rows_.x, rows_.count, layout_, memory_.sums);
        return done_(size_t{0}, rows_.count, memory_.sums);
      }
    }
#ifdef SIMD_HAS_BYTE_TILES
    const ByteTiles session(kind_);
    hasTiles_ = session.used();
    if (hasTiles_ && kind_.factorGroups > 0) return multiplyRecords();
#endif
    for (group_ = 0; group_ < layout_.groups; group_ += count_) {
      count_ = atMost(groupsPerPass_, layout_.groups - group_);
      multiplyGroups();
    }
  }

 private:
  size_t fewRows() const {
#ifdef SIMD_HAS_BYTE_TILES
    if (kind_.factorGroups > 0 && ByteTiles::multiply(kind_)) return kFewBesideTiles;
#endif
    return kInt8FewRows;
  }

  // Returns the number of groups per pass: as few passes as possible, of nearly equal size.
  size_t groupsOfPass() const {
    static_assert(kFewGroups % kRowGroups == 0 && kUnpackedGroups % kRowGroups == 0);
    const size_t room = kind_.parts > 0 && rows_.count <= kInt8PanelRows ? kFewGroups : kUnpackedGroups;
    const size_t unit = kind_.factorGroups > 0 ? kind_.factorGroups : kRowGroups;
    return divideUp(divideUp(layout_.groups, divideUp(layout_.groups, room)), unit) * unit;
  }

  bool isLast() const { return group_ + count_ == layout_.groups; }

  // The groups to prefetch: those after the current ones or, at the end of these tiles, the first of the next tiles.
  // `most`: groups of a pass. A call of fetch() follows each `tileRows` rows.
  WeightsAhead ahead(size_t most, size_t tileRows) const {
    if (!kTuning.prefetches || next_ == nullptr) return {};
    const size_t steps = divideUp(rows_.count, tileRows), after = isLast() ? 0 : group_ + count_;
    return {format_, isLast() ? *next_ : tiles_, after, atMost(most, layout_.groups - after), steps};
  }

  // Multiplies all rows with the current groups.
  void multiplyGroups() {
    WeightsAhead next = ahead(groupsPerPass_, kInt8TileRows);
    Int8Operands in = unpackTiles(format_, tiles_, group_, count_, memory_);
    const Int8Tile wholeTile = int8TileOf(kind_, kInt8TileRows);
    for (size_t row = 0, height = 0; row < rows_.count; row += height) {
      height = int8TileRows(rows_.count - row);
      next.fetch();
      point(in, row);
      // If this is the only pass, all rows share the memory of their sums, which then stays in level 1.
      float* sums = memory_.sums + (groupsPerPass_ < layout_.groups ? row * kInt8Cols : 0);
      const Int8Tile tile = prepareTile(in, row, height, wholeTile);
      tile(in, tiles_.count, group_ > 0, sums);
      if (isLast()) done_(row, height, sums);
    }
  }

  // Returns the register tile for `height` rows from `row` on. If AMX multiplies, it has multiplied their panel.
  Int8Tile prepareTile([[maybe_unused]] Int8Operands& in, [[maybe_unused]] size_t row, size_t height,
                       Int8Tile wholeTile) const {
#ifdef SIMD_HAS_BYTE_TILES
    if (hasTiles_ && in.height == kByteRows) {
      const size_t inPanel = row % kInt8PanelRows;
      if (inPanel == 0) multiplyByAmx(in, tiles_.count, memory_.products);
      in.products = memory_.products + inPanel * kTile;
      return int8Tile<StoredSums, 8, false, kInt8TileRows>;
    }
#endif
    return height == kInt8TileRows ? wholeTile : int8TileOf(kind_, height);
  }

#ifdef SIMD_HAS_BYTE_TILES
  // Multiplies by AMX with one record after another.
  void multiplyRecords() {
    const size_t record = kind_.factorGroups;
    for (group_ = 0; group_ < layout_.groups; group_ += count_) {
      count_ = atMost(record, layout_.groups - group_);
      unpackScaled();
      WeightsAhead next = ahead(record, kByteRows);
      for (size_t row = 0; row < rows_.count; row += kByteRows) {
        next.fetch();
        const size_t height = atMost(kByteRows, rows_.count - row);
        const int32_t* panel = rows_.x + row * layout_.rowWords();
        float* sums = memory_.sums + (record < layout_.groups ? row * kInt8Cols : 0);
        const RecordRows rows{.words = panel + group_ / kRunGroups * height * kRunWords,
                              .heads = panel + (layout_.quadWords() + group_ * kind_.parts * kHeadWords) * height,
                              .height = height,
                              .runs = divideUp(count_, kRunGroups),
                              .parts = count_ * kind_.parts,
                              .minima = kind_.minima};
        if (height < kByteRows) configureTiles(height);
        multiplyScaledTiles(rows.words, height, memory_.scaledBytes[0].low, tiles_.count, rows.runs, memory_.products);
        if (row + kByteRows < rows_.count) fetchWords(row + kByteRows, rows.runs);
        for (size_t t = 0; t < tiles_.count; ++t)
          addRecord(rows, memory_.products + t * 2 * kStoredSums, memory_.factors[t], group_ > 0, sums + t * kTile);
        if (height < kByteRows) configureTiles();
        if (isLast()) done_(row, height, sums);
      }
    }
  }

  // Prefetches the words of the current groups for the panel of rows from `row` on.
  void fetchWords(size_t row, size_t runs) const {
    const size_t height = atMost(kByteRows, rows_.count - row);
    const int32_t* words = rows_.x + row * layout_.rowWords() + group_ / kRunGroups * height * kRunWords;
    for (size_t line = 0; line < runs * height; ++line) __builtin_prefetch(words + line * kRunWords);
  }

  void unpackScaled() {
    withFormat(format_, [&](auto f) {
      using Format = decltype(f);
      if constexpr (kHasFactors<Format>)
        for (size_t t = 0; t < tiles_.count; ++t)
          scaleBytes<Format>(tiles_.at(t), group_, count_, memory_.scaledBytes[t], memory_.factors[t]);
    });
  }
#endif

  // Points the operands to the current groups, for rows from `row` on.
  void point(Int8Operands& in, size_t row) const {
    const size_t first = row / kInt8PanelRows * kInt8PanelRows, inPanel = row - first;
    const size_t part = kind_.parts == 0 ? group_ / kRowGroups : group_ * kind_.parts;
    const int32_t* panel = rows_.x + first * layout_.rowWords();
    in.height = atMost(kInt8PanelRows, rows_.count - first);
    in.words = panel + (group_ / kRunGroups * in.height + inPanel) * kRunWords;
    in.heads = panel + (layout_.quadWords() + part * kHeadWords) * in.height + inPanel * kHeadWords;
  }

  const uint32_t format_;
  const IntegerKind kind_;
  const PackedTiles& tiles_;
  const PackedTiles* next_;
  const Int8Rows rows_;
  const Int8Layout layout_;
  Int8Memory& memory_;
  const Done& done_;
  const size_t groupsPerPass_ = groupsOfPass();
  size_t group_ = 0, count_ = 0;  // the groups of the current pass
#ifdef SIMD_HAS_BYTE_TILES
  bool hasTiles_ = false;  // true if AMX multiplies
#endif
};
