// Causal depthwise convolution over packed sequences. The last rows of a sequence are a state for decoding.
#include "kernels/shared/blocks.h"
#include "kernels/shared/pieces.h"

// y[t] = bias + Σ_j w[j]·x[t - taps + 1 + j] in each column. Rows before a piece come from its state, or are 0.
//
//   x        [rows, cols], `xStride` words between rows
//   w        [taps, cols];  bias [cols]
//   lengths  [pieces]; absent if each row is a piece
//   states   [slots, taps - 1, cols]  the last rows before a piece; updated
//   from, to [pieces]                 slots of the states before and after a piece, or -1
struct CausalConv {
  static constexpr const char* name = "causalConv";
  static constexpr const char* signature =
      "in:x in:w in?:bias in?:lengths inout?:states in?:from in?:to out:y u32:rows u32:cols u32:xStride u32:taps "
      "u32:pieces u32:slots";
  Span x, w, bias, lengths, states, from, to, y;
  uint32_t rows, cols, xStride, taps, pieces, slots;

  const char* check() const {
    REQUIRE(taps > 0, "taps is 0");
    REQUIRE(x.covers(rows, cols, xStride), "x is too small for its rows, cols and stride");
    REQUIRE(w.covers(taps, cols, cols), "w is too small for taps and cols");
    REQUIRE(!bias.present() || bias.covers(cols), "bias is smaller than cols");
    REQUIRE(lengths.present() ? lengths.covers(pieces) : pieces == rows, "lengths is smaller than pieces");
    REQUIRE(
        !states.present() || taps == 1 || states.covers(slots, uint64_t{taps - 1} * cols, uint64_t{taps - 1} * cols),
        "states is too small for slots, taps and cols");
    REQUIRE(!from.present() || (from.covers(pieces) && states.present()), "from is smaller than pieces");
    REQUIRE(!to.present() || (to.covers(pieces) && states.present()), "to is smaller than pieces");
    REQUIRE(y.covers(rows, cols, cols), "y is too small for rows and cols");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(cols, kCols, [&](uint64_t first, uint64_t last) {
      const Pieces each{lengths.present() ? context.i32(lengths) : nullptr,
                        from.present() ? context.i32(from) : nullptr,
                        to.present() ? context.i32(to) : nullptr,
                        pieces,
                        rows,
                        slots};
      const bool isRight = each.each([&](uint64_t row, uint64_t end, int64_t before, int64_t after) {
        eachVector(last - first, [&](size_t c, size_t lanes) {
          for (uint64_t t = row; t < end; ++t) convolve(context, row, t, before, first + c, lanes);
        });
        if (after >= 0) keep(context, row, end, before, static_cast<uint64_t>(after), first, last - first);
      });
      if (!isRight) context.fail(kBadPieces);
    });
  }

 private:
  static constexpr uint64_t kCols = 64;

  float* stateRow(const Context& context, uint64_t slot, uint64_t i) const {
    return context.f32(states) + (slot * (taps - 1) + i) * cols;
  }

  void convolve(const Context& context, uint64_t row, uint64_t t, int64_t before, uint64_t c, size_t lanes) const {
    Vf sum = bias.present() ? loadLanes(context.f32(bias) + c, lanes) : splat(0.f);
    const uint64_t done = t - row;
    for (uint64_t j = 0; j < taps; ++j) {
      const uint64_t back = taps - 1 - j;
      if (back > done && before < 0) continue;
      const float* from_ = back <= done ? context.f32(x) + (t - back) * xStride
                                        : stateRow(context, static_cast<uint64_t>(before), taps - 1 + done - back);
      sum = fused(loadLanes(context.f32(w) + j * cols + c, lanes), loadLanes(from_ + c, lanes), sum);
    }
    storeLanes(context.f32(y) + t * cols + c, sum, lanes);
  }

  // Saves the last taps - 1 rows. Rows move towards the beginning, so the old and new state may share a slot.
  void keep(const Context& context, uint64_t row, uint64_t end, int64_t before, uint64_t after, uint64_t c,
            uint64_t count) const {
    const uint64_t length = end - row, kept = taps - 1;
    for (uint64_t i = 0; i < kept; ++i) {
      float* target = stateRow(context, after, i) + c;
      const uint64_t at = i + length;  // index among the rows of the old state and of the piece
      if (at >= kept)
        memmove(target, context.f32(x) + (row + at - kept) * xStride + c, count * sizeof(float));
      else if (before >= 0)
        memmove(target, stateRow(context, static_cast<uint64_t>(before), at) + c, count * sizeof(float));
      else
        memset(target, 0, count * sizeof(float));
    }
  }
};
RARE_KERNEL(CausalConv)

// dx[t] = Σ_j w[j]·dy[t + taps - 1 - j] within a piece, dw[j] = Σ_t dy[t]·x[t - taps + 1 + j], dbias = Σ_t dy[t].
// Pieces have no state before them. Bits of accumulate: dx, dw, dbias.
struct CausalConvBackward {
  static constexpr const char* name = "causalConvBackward";
  static constexpr const char* signature =
      "in:dy in:x in:w in:lengths inout?:dx inout?:dw inout?:dbias u32:rows u32:cols u32:xStride u32:dxStride u32:taps "
      "u32:pieces u32:accumulate";
  Span dy, x, w, lengths, dx, dw, dbias;
  uint32_t rows, cols, xStride, dxStride, taps, pieces, accumulate;

  const char* check() const {
    REQUIRE(taps > 0, "taps is 0");
    REQUIRE(dy.covers(rows, cols, cols), "dy is too small for rows and cols");
    REQUIRE(x.covers(rows, cols, xStride), "x is too small for its rows, cols and stride");
    REQUIRE(w.covers(taps, cols, cols), "w is too small for taps and cols");
    REQUIRE(lengths.covers(pieces), "lengths is smaller than pieces");
    REQUIRE(!dx.present() || dx.covers(rows, cols, dxStride), "dx is too small for its rows, cols and stride");
    REQUIRE(!dw.present() || dw.covers(taps, cols, cols), "dw is too small for taps and cols");
    REQUIRE(!dbias.present() || dbias.covers(cols), "dbias is smaller than cols");
    return nullptr;
  }

  void run(Context& context) const {
    context.team.parallelRange(cols, kCols, [&](uint64_t first, uint64_t last) {
      eachVector(last - first, [&](size_t c, size_t lanes) {
        if (dx.present()) differentiateRows(context, first + c, lanes);
        for (uint64_t j = 0; dw.present() && j < taps; ++j) {
          const uint64_t back = taps - 1 - j;
          addUp(
              context, context.f32(dw) + j * cols + first + c, lanes, back, (accumulate & 2) != 0,
              [&](uint64_t t) { return loadLanes(context.f32(x) + (t - back) * xStride + first + c, lanes); },
              first + c);
        }
        if (dbias.present())
          addUp(
              context, context.f32(dbias) + first + c, lanes, 0, (accumulate & 4) != 0,
              [](uint64_t) { return splat(1.f); }, first + c);
      });
    });
  }

 private:
  static constexpr uint64_t kCols = 64, kRows = 32;

  template <class Body>
  void eachPiece(const Context& context, const Body& body) const {
    const Pieces each{context.i32(lengths), nullptr, nullptr, pieces, rows, 0};
    if (!each.each([&](uint64_t row, uint64_t end, int64_t, int64_t) { body(row, end); })) context.fail(kBadPieces);
  }

  void differentiateRows(const Context& context, uint64_t c, size_t lanes) const {
    eachPiece(context, [&](uint64_t row, uint64_t end) {
      for (uint64_t t = row; t < end; ++t) {
        float* target = context.f32(dx) + t * dxStride + c;
        Vf sum = (accumulate & 1) != 0 ? loadLanes(target, lanes) : splat(0.f);
        for (uint64_t j = 0; j < taps; ++j) {
          const uint64_t at = t + taps - 1 - j;
          if (at >= end) continue;
          sum = fma(loadLanes(context.f32(w) + j * cols + c, lanes), loadLanes(context.f32(dy) + at * cols + c, lanes),
                    sum);
        }
        storeLanes(target, sum, lanes);
      }
    });
  }

  // target (+)= Σ dy[t]·factor(t) over the rows that have at least `back` rows of their piece before them. Rows are
  // summed in blocks of kRows, so that the error of a long sum is that of a block.
  template <class Factor>
  void addUp(const Context& context, float* target, size_t lanes, uint64_t back, bool adds, const Factor& factor,
             uint64_t c) const {
    Vf total = adds ? loadLanes(target, lanes) : splat(0.f), sum = splat(0.f);
    uint64_t summed = 0;
    eachPiece(context, [&](uint64_t row, uint64_t end) {
      for (uint64_t t = row + back; t < end; ++t) {
        sum = fma(loadLanes(context.f32(dy) + t * cols + c, lanes), factor(t), sum);
        if (++summed % kRows != 0) continue;
        total += sum;
        sum = splat(0.f);
      }
    });
    storeLanes(target, total + sum, lanes);
  }
};
TRAINING_KERNEL(CausalConvBackward)
