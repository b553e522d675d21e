// Results larger than every cache are written by non-temporal stores. Nobody would find them in a cache later, and a
// plain store first reads the line that it changes: a third of the traffic of y = f(x). On Zen 4 a large LayerNorm
// takes two thirds of the time, softmax and the gradient of cross entropy three quarters.
#pragma once

// Calls body(past, more) once. If `floats` do not fit into the largest cache: with std::true_type, and by which factor
// chunks are to be larger, as memory is faster in long runs. Else, or where there are no such stores or caches are
// unknown: std::false_type and 1.
template <class Body>
void withResults(uint64_t floats, const Body& body) {
  if constexpr (kStoresPast)
    if (cpu().cache > 0 && floats * sizeof(float) > cpu().cache) return body(std::true_type(), uint64_t{32});
  body(std::false_type(), uint64_t{1});
}

// Past the caches if kPast and where the instruction set can. A chunk that does so ends with endPast().
template <bool kPast>
SIMD_INLINE void storeResult(float* to, Vf v, size_t lanes) {
  if (kPast && lanes == kWidth && reinterpret_cast<uintptr_t>(to) % sizeof(Vf) == 0) return storePast(to, v);
  storeLanes(to, v, lanes);
}

// Scratch memory in which a row of at most kHeldFloats waits until the next one has been read; two take turns.
inline constexpr uint64_t kHeldFloats = kScratchFloats / 2;
inline float* heldRow(const Context& context, uint64_t row) { return context.scratch() + row % 2 * kHeldFloats; }

// What is done meanwhile where there is no row before that is still to be written.
struct Nothing {
  SIMD_INLINE void operator()(size_t, size_t) const {}
};

// A function of its own, in which the fields of `results` stay in registers.
template <class Results>
__attribute__((noinline)) void writeRow(const Results results, size_t cols) {
  eachVector(cols, [=](size_t c, size_t lanes) { results.write(c, lanes); });
}

// Rows from `row` to below `last`: measure(row, meanwhile) reads one, calls meanwhile(c, lanes) for each of its
// vectors, and returns what can write(c, lanes) the results. They are written while the next row is read, vector by
// vector: what a row's sums need at its end is waited for meanwhile (a LayerNorm is 1.25 times as fast), and memory is
// faster at both together than at one after the other. A long row's are written at once, while the caches have it.
template <bool kPast, class Measure>
void eachRow(uint64_t row, uint64_t last, size_t cols, const Measure& measure) {
  const bool waits = kPast || cols <= 2048;
  for (; row < last; ++row) {
    auto results = measure(row, Nothing());
    for (; waits && row + 1 < last; ++row) {
      const auto before = results;  // whose own copy stays in registers
      results = measure(row + 1, [before](size_t c, size_t lanes) { before.write(c, lanes); });
    }
    writeRow(results, cols);
  }
  if (kPast) endPast();
}
