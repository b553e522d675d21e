// Weights in panels. A weight that some products have read since it was last written is rearranged in place, as panels
// of a tile's columns from its first row to its last. Products then pack nothing and read memory from end to end. They
// use whole cache lines, and rows do not compete for a set of the cache: 1.6 times as fast for 16 rows of 768 → 3072
// with AVX2, 1.2 times for 128 rows with AVX-512. A weight is restored before anything else touches it, so only time
// depends on its arrangement.
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
  // `heap` never moves. Panels have `width` columns; the last panel of a weight has the remaining ones.
  Panels(char* heap, uint32_t width) : heap_(reinterpret_cast<float*>(heap)), width_(width) {}

  // Called before a product reads this weight, in panels or not.
  void use(uint32_t offset, const Weight& weight);
  // Called before anything else reads or writes `length` words.
  void touch(uint64_t offset, uint64_t length);
  // Rearranges the weights that are worth it. Not to be called during a run.
  void layOut();

  bool has(uint32_t offset) const {
    const auto at = weights_.find(offset);
    return at != weights_.end() && at->second.inPanels;
  }

 private:
  struct Entry {
    uint32_t depth, cols;
    uint32_t uses = 0;        // since it was last touched
    uint32_t enough = kUses;  // uses after which it is rearranged
    bool inPanels = false;
  };
  // Rearranging takes the time of some four products. A weight that had to be restored before it had paid for that
  // waits for more uses.
  static constexpr uint32_t kUses = 3, kPaid = 32, kMoreUses = 4, kMaxUses = 1 << 20;
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
  std::unique_ptr<float[]> room_;  // memory for the largest weight in panels, so that it can always be restored
  uint64_t roomFloats_ = 0;
  bool ready_ = false;  // true if some have been used often enough
};
#endif

}  // namespace simdformer
