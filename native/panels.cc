#include "panels.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace simdformer {

Panels::Entries::iterator Panels::firstBehind(uint32_t offset) {
  auto at = weights_.upper_bound(offset);
  if (at != weights_.begin()) {
    const auto before = std::prev(at);
    if (before->first + uint64_t{before->second.depth} * before->second.cols > offset) return before;
  }
  return at;
}

bool Panels::nothingIn(uint64_t offset, uint64_t length) const {
  if (pages_.empty() || length == 0) return true;
  for (uint64_t page = offset >> kPageBits, end = (offset + length - 1) >> kPageBits; page <= end; ++page)
    if ((pages_[page / 64] >> page % 64 & 1) != 0) return false;
  return true;
}

void Panels::use(uint32_t offset, const Weight& weight) {
  const uint64_t length = uint64_t{weight.depth} * weight.cols;
  auto at = weights_.find(offset);
  if (at == weights_.end() || at->second.depth != weight.depth || at->second.cols != weight.cols) {
    touch(offset, length);
    Entry fresh{weight.depth, weight.cols};
    for (at = firstBehind(offset); at != weights_.end() && at->first < offset + length; at = weights_.erase(at))
      fresh.enough = std::max(fresh.enough, at->second.enough);
    at = weights_.insert({offset, fresh}).first;
    pages_.resize((uint64_t{1} << (32 - kPageBits)) / 64);
    for (uint64_t page = offset >> kPageBits; page <= (offset + length - 1) >> kPageBits; ++page)
      pages_[page / 64] |= uint64_t{1} << page % 64;
  }
  Entry& entry = at->second;
  if (++entry.uses == entry.enough && !entry.inPanels) ready_ = true;
}

void Panels::touch(uint64_t offset, uint64_t length) {
  if (nothingIn(offset, length)) return;
  for (auto at = firstBehind(static_cast<uint32_t>(offset)); at != weights_.end() && at->first < offset + length;
       ++at) {
    Entry& entry = at->second;
    if (entry.inPanels) {
      move(at->first, entry, false);
      entry.inPanels = false;
      const bool paid = entry.uses - entry.enough >= kPaid;
      entry.enough = paid ? kUses : std::min(entry.enough * kMoreUses, kMaxUses);
    }
    entry.uses = 0;
  }
}

void Panels::layOut() {
  if (!ready_) return;
  ready_ = false;
  for (auto& [offset, entry] : weights_) {
    if (entry.inPanels || entry.uses < entry.enough) continue;
    const uint64_t floats = uint64_t{entry.depth} * entry.cols;
    if (floats > roomFloats_) {
      std::unique_ptr<float[]> room(new (std::nothrow) float[floats]);
      if (room == nullptr) continue;  // the product works without panels
      room_ = std::move(room);
      roomFloats_ = floats;
    }
    move(offset, entry, true);
    entry.inPanels = true;
  }
}

void Panels::move(uint32_t offset, const Entry& weight, bool toPanels) {
  constexpr uint64_t kRows = 16;  // source and target of so many rows fit into a level-2 cache
  const uint64_t depth = weight.depth, cols = weight.cols;
  float* at = heap_ + offset;
  for (uint64_t k = 0; k < depth; k += kRows) {
    for (uint64_t j = 0; j < cols; j += width_) {
      const uint64_t width = std::min<uint64_t>(width_, cols - j);
      for (uint64_t row = k; row < std::min(depth, k + kRows); ++row) {
        const uint64_t plain = row * cols + j, inPanel = j * depth + row * width;
        memcpy(room_.get() + (toPanels ? inPanel : plain), at + (toPanels ? plain : inPanel), width * sizeof(float));
      }
    }
  }
  memcpy(at, room_.get(), depth * cols * sizeof(float));
}

}  // namespace simdformer
