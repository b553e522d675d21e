// The state of a decoder between steps. Keys and values of earlier tokens are in tables with `slots` rows per sequence.
// The position of the next row is data in the heap, so that one recorded step works at every position.
#include "kernels/shared/blocks.h"
#include "kernels/shared/cells.h"

// cache[r, positions[r]] = x[r] for r < rows, or cache[r, 0] = x[r] without positions. x has `cols` floats in heads of
// `head` features. The cache stores them as the type `cells` (cells.h).
struct CacheAppend {
  static constexpr const char* name = "cacheAppend";
  static constexpr const char* signature =
      "inout:cache in:x in?:positions u32:rows u32:slots u32:cols u32:xStride u32:cells u32:head";
  Span cache, x, positions;
  uint32_t rows, slots, cols, xStride, cells, head;

  const char* check() const {
    REQUIRE(cells < kCellTypes, "unknown type of cache cells");
    REQUIRE(cells == kFloatCells || head <= kWidestHead, "a head is too wide");
    REQUIRE(head > 0 && cols % head == 0, "cols is not a whole number of heads");
    REQUIRE(cache.covers(uint64_t{rows} * slots, words(), words()), "cache is too small for rows, slots and cols");
    REQUIRE(x.covers(rows, cols, xStride), "x is too small for its rows, cols and stride");
    REQUIRE(!positions.present() || positions.covers(rows), "positions is smaller than rows");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(rows, copyGrain(cols), [&](uint64_t row, uint64_t last) {
      for (; row < last; ++row) {
        const uint32_t slot = positions.present() ? static_cast<uint32_t>(context.i32(positions)[row]) : 0;
        if (slot >= slots) {
          context.failAt("positions", row, static_cast<int32_t>(slot), slots);
          continue;
        }
        put(context.f32(x) + row * xStride, context.f32(cache) + (row * slots + slot) * words());
      }
    });
  }

 private:
  uint64_t words() const { return uint64_t{cols} / head * cellWords(cells, head); }

  void put(const float* from, float* to) const {
    if (cells == kFloatCells) {
      memmove(to, from, cols * sizeof(float));
      return;
    }
    for (uint32_t c = 0; c < cols; c += head, to += cellWords(cells, head)) packCells(cells, from + c, head, to);
  }
};
KERNEL(CacheAppend)

// Reorders sequences: cache[r, s] = cache[order[r], s] for all r < rows and s < lengths[r], all at once. Sequence
// order[r] must be as long as sequence r. A chunk owns one slot and some columns of every sequence. It copies them to
// scratch memory and back.
struct CacheReorder {
  static constexpr const char* name = "cacheReorder";
  static constexpr const char* signature = "inout:cache in:order in:lengths u32:rows u32:slots u32:cols";
  static constexpr uint64_t kCols = 256, kMaxRows = kScratchFloats / kCols;
  Span cache, order, lengths;
  uint32_t rows, slots, cols;

  const char* check() const {
    REQUIRE(cache.covers(uint64_t{rows} * slots, cols, cols), "cache is too small for rows, slots and cols");
    REQUIRE(order.covers(rows) && lengths.covers(rows), "order or lengths is smaller than rows");
    REQUIRE(rows <= kMaxRows, "there are more rows than can be reordered");
    REQUIRE(uint64_t{slots} * across() <= 0xffffffffu, "slots and cols are too large");
    return nullptr;
  }

  void run(Context& context) const {
    const uint64_t chunks = rows == 0 ? 0 : slots * across();
    context.team.parallel(static_cast<uint32_t>(chunks), [&](uint32_t chunk) {
      const uint64_t slot = chunk / across(), col = chunk % across() * kCols;
      const uint64_t width = col + kCols < cols ? kCols : cols - col;
      const auto place = [&](uint64_t row) { return context.f32(cache) + (row * slots + slot) * cols + col; };
      const auto sourceOf = [&](uint64_t row) -> uint64_t {
        const uint32_t from = static_cast<uint32_t>(context.i32(order)[row]);
        if (from >= rows) context.failAt("order", row, static_cast<int32_t>(from), rows);
        return from < rows && slot < static_cast<uint32_t>(context.i32(lengths)[row]) ? from : row;
      };
      float* held = context.scratch();
      for (uint64_t row = 0; row < rows; ++row) {
        const uint64_t from = sourceOf(row);  // read once: in an invalid list, `order` may overlap the cache
        if (from != row) memcpy(held + row * kCols, place(from), width * sizeof(float));
      }
      for (uint64_t row = 0; row < rows; ++row)
        if (sourceOf(row) != row) memcpy(place(row), held + row * kCols, width * sizeof(float));
    });
  }

 private:
  uint64_t across() const { return divideUp(cols, kCols); }
};
KERNEL(CacheReorder)
CONSTANT("cacheReorder.maxRows", CacheReorder::kMaxRows)

// Slots of recurrent states. The state of a sequence after L tokens is stored in slot L % ring. If L is a multiple of
// `spacing`, it is stored in slot ring + L / spacing - 1 instead, as a checkpoint.
//
//   tags       [rows, slots]  the length of the state in each slot; updated
//   sequences  [pieces]       the sequence of each piece. Absent in a step: piece i is then the next token of sequence i,
//                             which is idle unless ends[i] = positions[i] + 1
//   positions  [pieces]       length before each piece;  ends [pieces]: length after it
//   from, to   [pieces]       receive slots, counted through all sequences; -1 where there is no state
struct StateSlots {
  static constexpr const char* name = "stateSlots";
  static constexpr const char* signature =
      "inout:tags in?:sequences in:positions in:ends out:from out:to u32:pieces u32:rows u32:slots u32:ring "
      "u32:spacing";
  Span tags, sequences, positions, ends, from, to;
  uint32_t pieces, rows, slots, ring, spacing;

  const char* check() const {
    REQUIRE(ring > 0 && spacing > 0, "ring or spacing is 0");
    REQUIRE(tags.covers(rows, slots, slots), "tags is too small for rows and slots");
    REQUIRE(uint64_t{rows} * slots <= 0x7fffffffu, "there are too many slots");
    REQUIRE(!sequences.present() || sequences.covers(pieces), "sequences is smaller than pieces");
    REQUIRE(positions.covers(pieces) && ends.covers(pieces), "positions or ends is smaller than pieces");
    REQUIRE(from.covers(pieces) && to.covers(pieces), "from or to is smaller than pieces");
    return nullptr;
  }

  // One chunk computes all pieces in order, because a piece may begin where the previous one ends.
  void run(Context& context) const {
    context.team.parallel(1, [&](uint32_t) {
      for (uint32_t i = 0; i < pieces; ++i) {
        context.i32(from)[i] = context.i32(to)[i] = -1;
        place(context, i);
      }
    });
  }

 private:
  void place(const Context& context, uint32_t i) const {
    const uint32_t row = sequences.present() ? static_cast<uint32_t>(context.i32(sequences)[i]) : i;
    const uint32_t start = static_cast<uint32_t>(context.i32(positions)[i]);
    const uint32_t end = static_cast<uint32_t>(context.i32(ends)[i]);
    if (!sequences.present() && end != start + 1) return;
    if (row >= rows) return context.failAt("sequences", i, static_cast<int32_t>(row), rows);
    const uint32_t before = start == 0 ? 0 : slotOf(start), after = slotOf(end);
    if (before >= slots || after >= slots || end == 0) return context.fail("a sequence is longer than its slots");
    int32_t* own = context.i32(tags) + uint64_t{row} * slots;
    if (start > 0 && static_cast<uint32_t>(own[before]) != start)
      return context.fail("no recurrent state is kept at the length from which a sequence continues");
    if (start > 0) context.i32(from)[i] = static_cast<int32_t>(row * slots + before);
    context.i32(to)[i] = static_cast<int32_t>(row * slots + after);
    own[after] = static_cast<int32_t>(end);
  }

  uint32_t slotOf(uint32_t length) const { return length % spacing == 0 ? ring + length / spacing - 1 : length % ring; }
};
RARE_KERNEL(StateSlots)

// x[i] += 1, for int32.
struct Advance {
  static constexpr const char* name = "advance";
  static constexpr const char* signature = "inout:x u32:count";
  Span x;
  uint32_t count;

  const char* check() const {
    REQUIRE(x.covers(count), "x is smaller than count");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(count, 4096, [&](uint64_t i, uint64_t last) {
      for (; i < last; ++i) {
        int32_t& value = context.i32(x)[i];
        value =
            static_cast<int32_t>(static_cast<uint32_t>(value) + 1);  // unsigned, so that invalid data cannot overflow
      }
    });
  }
};
KERNEL(Advance)
