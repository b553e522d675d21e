// Whether a device's latest runs would fit into the caches, by the operands that their commands named.
#pragma once
#include <cstddef>
#include <cstdint>

namespace simdformer {

class Footprint {
 public:
  // An operand counts once, by where it begins. Where two places share a bit the second is missed, which happens to
  // runs that are far too large for any cache.
  void add(uint32_t offset, uint32_t length) {
    const uint32_t hash = offset * 2654435769u >> 20;
    uint64_t& bits = seen_[hash / 64];
    const uint64_t bit = uint64_t{1} << hash % 64;
    if ((bits & bit) == 0) distinct_ += length;
    bits |= bit;
    named_ += length;
  }

  // With room for what a cache of so many bytes holds of others. Found anew when several times its size has been named.
  bool fits(size_t cache) {
    constexpr uint64_t kSpan = 4;
    if (named_ * 4 < kSpan * cache) return fits_;
    const bool fits = distinct_ * 4 <= cache / 2;
    *this = Footprint();
    return fits_ = fits;
  }

 private:
  uint64_t seen_[64] = {};
  uint64_t distinct_ = 0, named_ = 0;  // words
  bool fits_ = false;
};

}  // namespace simdformer
