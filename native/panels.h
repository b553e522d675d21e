// Weights in panels. A weight [depth, cols] that products use repeatedly is rearranged in place. Its columns are cut
// into panels as wide as a tile, and each panel is stored row after row.
//
// Products with such a weight need no packing and read memory from end to end, in whole cache lines. Rows no longer
// compete for the same set of the cache. 16 rows of 768 → 3072 are 1.6 times as fast with AVX2, and 128 rows 1.2 times
// with AVX-512. Before any other access the weight is restored, so its arrangement affects only time.
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
  // `heap` must never move. Panels have `width` columns, except the last one of a weight, which has the rest.
  Panels(char* heap, uint32_t width) : heap_(reinterpret_cast<float*>(heap)), width_(width) {}

  // Must be called before a product reads this weight, in panels or not.
  void use(uint32_t offset, const Weight& weight);
  // Must be called before any other access to `length` words from `offset` on. Restores weights that lie there.
  void touch(uint64_t offset, uint64_t length);
  // Rearranges the weights that have been used often enough. Must not be called during a run.
  void layOut();

  bool has(uint32_t offset) const {
    const auto at = weights_.find(offset);
    return at != weights_.end() && at->second.inPanels;
  }

 private:
  struct Entry {
    uint32_t depth, cols;
    uint32_t uses = 0;        // since the last call of touch()
    uint32_t enough = kUses;  // number of uses after which it is rearranged
    bool inPanels = false;
  };
  // Rearranging takes the time of about four products. A weight that was restored after fewer than kPaid uses did not
  // pay for it. It must then be used kMoreUses times as often before it is rearranged again.
  static constexpr uint32_t kUses = 3, kPaid = 32, kMoreUses = 4, kMaxUses = 1 << 20;
  static constexpr uint32_t kPageBits = 14;  // words

  using Entries = std::map<uint32_t, Entry>;
  // Returns the first weight that ends after `offset`.
  Entries::iterator firstBehind(uint32_t offset);
  bool nothingIn(uint64_t offset, uint64_t length) const;
  void move(uint32_t offset, const Entry& weight, bool toPanels);

  float* heap_;
  uint32_t width_;
  Entries weights_;                // keyed by offset; weights do not overlap
  std::vector<uint64_t> pages_;    // one bit per page of the heap: set if a weight has ever been there
  std::unique_ptr<float[]> room_;  // buffer as large as the largest weight in panels, so that restoring never fails
  uint64_t roomFloats_ = 0;
  bool ready_ = false;  // true if a weight has been used often enough
};
#endif

}  // namespace simdformer
