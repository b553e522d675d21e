#include "heap.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <sys/mman.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace simdformer {
namespace {

constexpr uint64_t kStep = uint64_t{2} << 20;  // the size of a huge page, where the system has them

#ifdef _WIN32
char* reserve(uint64_t bytes) { return static_cast<char*>(VirtualAlloc(nullptr, bytes, MEM_RESERVE, PAGE_NOACCESS)); }
bool commit(char* at, uint64_t bytes, bool) { return VirtualAlloc(at, bytes, MEM_COMMIT, PAGE_READWRITE) != nullptr; }
void release(char* data, uint64_t) { VirtualFree(data, 0, MEM_RELEASE); }
#else
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
char* reserve(uint64_t bytes) {
  void* data = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return data == MAP_FAILED ? nullptr : static_cast<char*>(data);
}
bool commit(char* at, uint64_t bytes, [[maybe_unused]] bool huge) {
  if (mprotect(at, bytes, PROT_READ | PROT_WRITE) != 0) return false;
#ifdef MADV_HUGEPAGE
  if (huge) madvise(at, bytes, MADV_HUGEPAGE);  // fewer TLB misses in large matrices; only a hint
#endif
  return true;
}
void release(char* data, uint64_t bytes) { munmap(data, bytes); }
#endif

}  // namespace

Heap::Heap(bool huge) : huge_(huge) {
  // If address space is limited (ulimit -v, 32-bit), the heap reserves as much as there is.
  for (uint64_t bytes = kMaxBytes + kStep; base_ == nullptr && bytes > kStep; bytes /= 2) {
    if (bytes > SIZE_MAX) continue;  // a 32-bit mmap() would receive only the low half of the number, 2 MiB
    base_ = reserve(bytes);
    reserved_ = bytes;
  }
  if (base_ != nullptr) data_ = base_ + (kStep - reinterpret_cast<uintptr_t>(base_) % kStep) % kStep;
}

Heap::~Heap() {
  if (base_ != nullptr) release(base_, reserved_);
#ifdef __GLIBC__
  malloc_trim(0);  // glibc keeps freed memory of finished threads, several megabytes after a model was loaded
#endif
}

bool Heap::grow(uint64_t bytes) {
  const uint64_t had = this->bytes();
  if (bytes <= had) return true;
  const uint64_t wanted = (bytes + kStep - 1) / kStep * kStep;
  if (data_ == nullptr || wanted > reserved_ - kStep) return false;
  if (!commit(data_ + had, wanted - had, huge_)) return false;
  bytes_.store(wanted, std::memory_order_release);
  return true;
}

void Heap::discard(uint64_t byteOffset, uint64_t bytes) {
  const uint64_t first = (byteOffset + kStep - 1) / kStep * kStep;  // whole huge pages: a part would split one
  const uint64_t last = (byteOffset + bytes) / kStep * kStep;
#ifdef __linux__
  if (last > first) madvise(data_ + first, last - first, MADV_DONTNEED);
#else
  static_cast<void>(first), static_cast<void>(last);  // the system takes pages when it needs them
#endif
}

}  // namespace simdformer
