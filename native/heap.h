// A device's linear memory: a large reserved range of addresses, which becomes usable from the front as the heap grows.
// Therefore the heap never moves. In WebAssembly it is the end of the module's memory.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace simdformer {

class Heap {
 public:
  // Limit of 32-bit word offsets: 16 GiB.
  static constexpr uint64_t kMaxBytes = uint64_t{4} << 32;

  // `huge` requests huge pages. A huge page takes all its memory as soon as any part of it is touched.
  explicit Heap(bool huge = true);
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  // Makes at least `bytes` usable; false if the system has too little memory. Meanwhile others may read and write the
  // part that was usable before.
  bool grow(uint64_t bytes);
#ifndef __wasm__
  // Gives the pages inside of a range back to the system. The range stays usable; its contents become undefined.
  void discard(uint64_t byteOffset, uint64_t bytes);
#endif
#ifdef __wasm__
  // Returns `bytes` of memory just behind the heap, usable until the heap grows; null if the system has too little
  // memory.
  char* memoryBehind(uint64_t bytes) const;
#endif
  uint64_t bytes() const { return bytes_.load(std::memory_order_acquire); }
  uint64_t words() const { return bytes() / 4; }
  char* data() const { return data_; }

 private:
#ifndef __wasm__
  char* base_ = nullptr;  // start of the reserved range; data_ is its first huge page boundary
  uint64_t reserved_ = 0;
  bool huge_;
#endif
  char* data_ = nullptr;
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace simdformer
