// Results larger than every cache are written by non-temporal stores. No cache would hold them until they are used, and
// a plain store first reads the line that it changes: a third of the traffic of y = f(x). On Zen 4 a large LayerNorm
// takes two thirds of the time, softmax and the gradient of cross entropy three quarters.
#pragma once

// Calls body(nonTemporal, more) once. If `floats` do not fit into the largest cache, nonTemporal is std::true_type, and
// `more` is a factor for larger chunks, because memory is faster in long runs. Otherwise, or if the set has no such
// stores or the caches are unknown, they are std::false_type and 1.
template <class Body>
void withResults(uint64_t floats, const Body& body) {
  if constexpr (kStoresNonTemporal)
    if (cpu().cache > 0 && floats * sizeof(float) > cpu().cache) return body(std::true_type(), uint64_t{32});
  body(std::false_type(), uint64_t{1});
}

// Stores by a non-temporal store if kPast and if the instruction set has one. A chunk that does so ends with
// fenceNonTemporal().
template <bool kPast>
SIMD_INLINE void storeResult(float* to, Vf v, size_t lanes) {
  if (kPast && lanes == kWidth && reinterpret_cast<uintptr_t>(to) % sizeof(Vf) == 0) return storeNonTemporal(to, v);
  storeLanes(to, v, lanes);
}

// Scratch memory for a row of at most kHeldFloats that waits until the next row has been read; two rows take turns.
inline constexpr uint64_t kHeldFloats = kScratchFloats / 2;
inline float* heldRow(const Context& context, uint64_t row) { return context.scratch() + row % 2 * kHeldFloats; }

// The work done meanwhile if no previous row is waiting.
struct Nothing {
  SIMD_INLINE void operator()(size_t, size_t) const {}
};

// A separate function, in which the fields of `results` stay in registers.
template <class Results>
__attribute__((noinline)) void writeRow(const Results results, size_t cols) {
  eachVector(cols, [=](size_t c, size_t lanes) { results.write(c, lanes); });
}

// Rows from `row` to below `last`: measure(row, meanwhile) reads one, calls meanwhile(c, lanes) for each of its
// vectors, and returns an object whose write(c, lanes) stores the results. They are written while the next row is read,
// vector by vector. This hides the latency at the end of a row's sums (a LayerNorm is 1.25 times as fast), and memory
// is faster with reads and writes together. The results of a long row are written at once, while it is in the caches.
template <bool kPast, class Measure>
void eachRow(uint64_t row, uint64_t last, size_t cols, const Measure& measure) {
  const bool waits = kPast || cols <= 2048;
  for (; row < last; ++row) {
    auto results = measure(row, Nothing());
    for (; waits && row + 1 < last; ++row) {
      const auto before = results;  // a copy that stays in registers
      results = measure(row + 1, [before](size_t c, size_t lanes) { before.write(c, lanes); });
    }
    writeRow(results, cols);
  }
  if (kPast) fenceNonTemporal();
}
