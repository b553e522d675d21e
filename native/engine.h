// One device: a heap, an instruction set, a number of threads, and run().
#pragma once
#include <mutex>
#include <string>
#include <vector>

#include "abi.h"
#include "heap.h"
#include "panels.h"
#include "threads.h"

namespace simdformer {

// The instruction sets of this build that this machine has, best first.
const Isa* const* availableIsas();
// The set of this name; null if this build or this machine lacks it.
const Isa* findIsa(const char* name);

class Engine {
 public:
  Engine(const Isa& isa, int threads);

  // Checks every command, then runs them all in order. If one is malformed, none has run. If one finds invalid data in
  // the heap, the others have run, and its own results are unspecified.
  Failure run(const uint32_t* words, size_t count);
  // Does not wait for a run: the heap's contents never move.
  bool grow(uint64_t bytes);
  // False, and nothing is copied, if the range is not inside the heap.
  bool read(uint64_t byteOffset, void* target, size_t bytes);
  bool write(uint64_t byteOffset, const void* source, size_t bytes);
#ifdef __wasm__
  // Adds the kernels of a part. Not to be called during a run.
  void add(const Isa& part);
#else
  // Gives the pages of a range that nobody uses back to the system. False if the range is not inside the heap.
  bool discard(uint64_t byteOffset, uint64_t bytes);
#endif
  // JSON: {"version", "isa", "isas", "threads", "ops": [{"name", "part", "operands": [{"name", "kind", "fields"?}]}], "constants": {name:
  // value}, "formats": [Format]}. Positions in "ops" are opcodes, positions in "formats" are numbers of formats.
  std::string manifest() const;

  const Heap& heap() const { return heap_; }
  bool usable() const { return scratch_ != nullptr; }

 private:
  struct Walk;
  // True if the range lies in the heap. Weights in panels there are restored.
  bool reach(uint64_t byteOffset, size_t bytes);
  const char* check(const uint32_t* words, size_t left);
  static void walk(void* data, Job& job, int thread);

  // The place of a command's tensor operand, in words from its first operand on.
  struct TensorOperand {
    uint32_t at;
    bool optional;
  };

  const Isa& isa_;
  std::vector<Kernel> kernels_;  // by opcode
  const int threads_;
  // by opcode, because reading a signature takes longer than running a small command
  std::vector<std::vector<TensorOperand>> tensors_;
  Heap heap_;
  Heap scratch_heap_{false};  // most commands touch little of it
  char* scratch_ = nullptr;
  Panels panels_;
  std::mutex growing_;
  std::mutex mutex_;  // held during a run or a copy: those of a device are sequential
};

}  // namespace simdformer
