// Weights in panels: a weight that some products have read since it was last written is laid out anew where it lies, as
// panels of a tile's columns from its first row to its last. Products then pack nothing and read memory from end to
// end, with no line half used and none that shares a set of the cache with those above it: 1.6 times as fast for 16
// rows of 768 → 3072 with AVX2, 1.2 times for 128 with AVX-512. Whatever else touches the weight finds it as it was,
// since it is put back first; so nothing but time depends on where a weight is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "abi.h"

namespace simdformer {

#ifdef __wasm__
class Panels {
 public:
  Panels(char*, uint32_t) {}
  void use(uint32_t, const Weight&) {}
  void touch(uint64_t, uint64_t) {}
  void layOut() {}
  bool has(uint32_t) const { return false; }
};
#else
class Panels {
 public:
  // `heap` stays where it is; panels have `width` columns, the last of a weight what is left.
  Panels(char* heap, uint32_t width) : heap_(reinterpret_cast<float*>(heap)), width_(width) {}

  // A product is about to read this weight, whether it lies in panels or not.
  void use(uint32_t offset, const Weight& weight);
  // Anything else is about to read or write `length` words.
  void touch(uint64_t offset, uint64_t length);
  // Lays out the weights that are worth it. Not while a run lasts.
  void layOut();

  bool has(uint32_t offset) const {
    const auto at = weights_.find(offset);
    return at != weights_.end() && at->second.inPanels;
  }

 private:
  struct Entry {
    uint32_t depth, cols;
    uint32_t uses = 0;        // since it was touched
    uint32_t enough = kUses;  // to lay it out
    bool inPanels = false;
  };
  // Laying out takes the time of some four products. A weight that had to be put back before it had paid waits for more
  // of them.
  static constexpr uint32_t kUses = 3, kPaid = 32, kMoreUses = 4, kMostUses = 1 << 20;
  static constexpr uint32_t kPageBits = 14;  // words

  using Entries = std::map<uint32_t, Entry>;
  // The first weight that ends after `offset`.
  Entries::iterator firstBehind(uint32_t offset);
  bool nothingIn(uint64_t offset, uint64_t length) const;
  void move(uint32_t offset, const Entry& weight, bool toPanels);

  float* heap_;
  uint32_t width_;
  Entries weights_;                // by offset; they do not overlap
  std::vector<uint64_t> pages_;    // a bit for each page of the heap that any of them has ever been in
  std::unique_ptr<float[]> room_;  // for the largest weight that is in panels: what was laid out can be put back
  uint64_t roomFloats_ = 0;
  bool ready_ = false;  // some have been used often enough
};
#endif

}  // namespace simdformer
