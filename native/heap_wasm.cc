// The heap of WebAssembly: the end of the module's memory.
#include <unistd.h>

#include "heap.h"

namespace simdformer {
namespace {

constexpr uint64_t kPage = 65536;
constexpr uint64_t kLine = 64;

// Takes `bytes` at the end of the memory.
bool extend(uint64_t bytes) {
  return bytes <= UINT32_MAX && sbrk(static_cast<intptr_t>(bytes)) != reinterpret_cast<void*>(-1);
}

}  // namespace

Heap::Heap(bool) {}
Heap::~Heap() = default;

bool Heap::grow(uint64_t bytes) {
  const uint64_t had = this->bytes();
  if (bytes <= had) return true;
  char* end = static_cast<char*>(sbrk(0));
  if (data_ == nullptr) {
    if (!extend(-reinterpret_cast<uintptr_t>(end) % kLine)) return false;
    data_ = end = static_cast<char*>(sbrk(0));
  }
  if (end != data_ + had) return false;  // other code took the memory behind
  const uint64_t wanted = (bytes + kPage - 1) / kPage * kPage;
  if (!extend(wanted - had)) return false;
  bytes_.store(wanted, std::memory_order_release);
  return true;
}

char* Heap::memoryBehind(uint64_t bytes) const {
  const uint64_t end = reinterpret_cast<uintptr_t>(data_) + this->bytes() + bytes;
  const uint64_t pages = (end + kPage - 1) / kPage;
  const uint64_t have = __builtin_wasm_memory_size(0);
  if (pages > have && __builtin_wasm_memory_grow(0, static_cast<size_t>(pages - have)) == SIZE_MAX) return nullptr;
  return data_ + this->bytes();
}

}  // namespace simdformer
