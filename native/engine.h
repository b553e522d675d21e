// One device: a heap, an instruction set, a number of threads, and run(), which executes command lists.
#pragma once
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "abi.h"
#include "heap.h"
#include "panels.h"
#include "threads.h"

namespace simdformer {

// The instruction sets that both this build and this machine support, best first; null ends the list.
const Isa* const* availableIsas();
// The set of this name, or null if this build or this machine does not support it.
const Isa* findIsa(const char* name);

class Engine {
 public:
  Engine(const Isa& isa, int threads, Priority priority = Priority::kNormal);

  // Checks all commands, then runs them in order. If a command is malformed, none runs. If a command finds invalid data
  // in the heap, the others still run, and the results of that command are unspecified.
  Failure run(const uint32_t* words, size_t count);
  // Limits the threads of later runs to `threads`, from 1 to the number that the engine was made with.
  void limit(int threads) { limit_ = threads; }
  Priority priority() const { return priority_; }
  // Grows the heap to at least `bytes`. Returns false if memory is short. May be called during a run, because the heap
  // never moves.
  bool grow(uint64_t bytes);
  // Copy between the heap and the host. They return false, without copying, if the range is not inside the heap.
  bool read(uint64_t byteOffset, void* target, size_t bytes);
  bool write(uint64_t byteOffset, const void* source, size_t bytes);
#ifdef __wasm__
  // Adds the kernels of a part. Must not be called during a run.
  void add(const Isa& part);
#else
  // Returns the memory of an unused range to the operating system. Returns false if the range is not inside the heap.
  bool discard(uint64_t byteOffset, uint64_t bytes);
#endif
  // A description of the engine as JSON. Positions in "ops" are opcodes, and positions in "formats" are format numbers.
  //
  //   {"version", "isa", "isas", "threads",
  //    "ops": [{"name", "part", "operands": [{"name", "kind", "fields"?}]}],
  //    "constants": {name: value}, "formats": [Format]}
  std::string manifest() const;

  const Heap& heap() const { return heap_; }
  bool usable() const { return scratch_ != nullptr; }

 private:
  struct Walk;
  // Returns true if the range lies in the heap. Restores weights of that range that are in panels.
  bool prepareAccess(uint64_t byteOffset, size_t bytes);
  const char* check(const uint32_t* words, size_t left);
  static void walk(void* data, Job& job, int thread);

  // A tensor operand of a kernel: its offset in words from the first operand.
  struct TensorOperand {
    uint32_t at;
    bool optional;
  };

  const Isa& isa_;
  std::vector<Kernel> kernels_;  // indexed by opcode
  const int threads_;
  const Priority priority_;
  std::atomic<int> limit_;  // threads of a run
  // Indexed by opcode. Parsing a signature takes longer than running a small command, so it is done once.
  std::vector<std::vector<TensorOperand>> tensors_;
  Heap heap_;
  Heap scratch_heap_{false};  // commands usually touch little of it
  char* scratch_ = nullptr;
  Panels panels_;
  std::mutex growing_;
  std::mutex mutex_;  // held during a run or a copy, which are sequential on a device
};

}  // namespace simdformer
