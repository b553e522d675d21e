// Non-temporal stores of results that are larger than every cache. A cache could not hold such results until they are
// used. A plain store first reads the cache line that it changes, which is a third of the traffic of y = f(x). On Zen
// 4, a large LayerNorm takes two thirds of the time, softmax and the gradient of cross entropy three quarters.
#pragma once

// Calls body(nonTemporal, more) once. If the results do not fit into the largest cache, nonTemporal is std::true_type.
// `more` is then a factor for larger chunks, because memory is faster in long runs. Otherwise, or if the set has no
// such stores or the cache size is unknown, they are std::false_type and 1.
template <class Body>
void withResults(uint64_t floats, const Body& body) {
  if constexpr (kStoresNonTemporal)
    if (cpu().cache > 0 && floats * sizeof(float) > cpu().cache) return body(std::true_type(), uint64_t{32});
  body(std::false_type(), uint64_t{1});
}

// Stores `lanes` lanes, by a non-temporal store if kNonTemporal and if alignment and instruction set allow it. A chunk
// with such stores must end with fenceNonTemporal().
template <bool kNonTemporal>
SIMD_INLINE void storeResult(float* to, Vf v, size_t lanes) {
  if (kNonTemporal && lanes == kWidth && reinterpret_cast<uintptr_t>(to) % sizeof(Vf) == 0)
    return storeNonTemporal(to, v);
  storeLanes(to, v, lanes);
}

// Scratch memory for the results of a row of at most kHeldFloats, which are written while the next row is read. Two
// rows alternate.
inline constexpr uint64_t kHeldFloats = kScratchFloats / 2;
inline float* heldRow(const Context& context, uint64_t row) { return context.scratch() + row % 2 * kHeldFloats; }

// The meanwhile() of a first row, which has no previous results to write.
struct NoWork {
  SIMD_INLINE void operator()(size_t, size_t) const {}
};

// Not inlined, so that the fields of `results` stay in registers.
template <class Results>
__attribute__((noinline)) void writeRow(const Results results, size_t cols) {
  eachVector(cols, [=](size_t c, size_t lanes) { results.write(c, lanes); });
}

// Processes rows row ≤ r < last. measure(row, meanwhile) reads a row, calls meanwhile(c, lanes) for each of its
// vectors, and returns an object. write(c, lanes) of that object stores the results of a vector.
//
// The results of a row are written while the next row is read, vector by vector. This hides the latency at the end of a
// row's sums. Memory is also faster with mixed reads and writes. A LayerNorm is 1.25 times as fast. The results of a
// long row are written at once, while the row is in the caches.
template <bool kNonTemporal, class Measure>
void eachRow(uint64_t row, uint64_t last, size_t cols, const Measure& measure) {
  const bool waits = kNonTemporal || cols <= 2048;
  for (; row < last; ++row) {
    auto results = measure(row, NoWork());
    for (; waits && row + 1 < last; ++row) {
      const auto before = results;  // a copy that stays in registers
      results = measure(row + 1, [before](size_t c, size_t lanes) { before.write(c, lanes); });
    }
    writeRow(results, cols);
  }
  if (kNonTemporal) fenceNonTemporal();
}
