// What a kernel sees of the world while it runs: the heap, its team, its thread's scratch memory, where to report bad
// data to.
#pragma once
#include <atomic>

#include "abi.h"
#include "panels.h"
#include "threads.h"

namespace simdformer {

// Scratch memory of one thread, 64-byte aligned, contents undefined at the start of each parallel() chunk.
inline constexpr size_t kScratchBytes = size_t{4} << 20, kScratchFloats = kScratchBytes / sizeof(float);

// The first bad datum that a run met, and the command that met it.
struct Fault {
  std::atomic<const char*> reason{nullptr};
  int64_t command = -1;
  int64_t row = -1;               // of the operand that `reason` then names; -1 if it is a reason
  int64_t given = 0, limit = -1;  // the number, and what it should have been below; -1 if it is no such number
};

// The state of one run, shared by its threads.
struct RunState {
  Fault fault;
  std::atomic<int64_t> last{INT64_MAX};  // the command after which it ends
};

class Context {
 public:
  // `scratch` is that of all threads, one after the other.
  Context(char* heap, char* scratch, const Panels& panels, Job& job, int thread, RunState& state)
      : team(job, thread),
        heap_(heap),
        scratch_(scratch + kScratchBytes * static_cast<size_t>(thread)),
        panels_(panels),
        state_(state) {}

  float* f32(Span span) const { return reinterpret_cast<float*>(heap_ + size_t{4} * span.offset); }
  int32_t* i32(Span span) const { return reinterpret_cast<int32_t*>(heap_ + size_t{4} * span.offset); }
  // Whether an operand lies in panels, which only one that a kernel calls its weight ever does.
  bool inPanels(Span span) const { return panels_.has(span.offset); }
  // The calling thread's scratch memory: kScratchFloats.
  float* scratch() const { return reinterpret_cast<float*>(scratch_); }
  // Reports that data in the heap cannot be right (an id outside the vocabulary, a negative length). The command goes
  // on, without touching memory that is not its own; the run ends with the first such reason, and with the number that
  // was given where one from 0 to below `limit` was expected. To be called in a chunk.
  void fail(const char* reason, int64_t given = 0, int64_t limit = -1) const { report(reason, -1, given, limit); }
  // The same of an integer that an operand has in a row, such as an id outside the vocabulary.
  void failAt(const char* operand, uint64_t row, int64_t given, int64_t limit) const {
    report(operand, static_cast<int64_t>(row), given, limit);
  }
  // Whether a command before this one has reported so. To be called in a chunk, where no thread has gone further.
  bool failed() const { return state_.fault.reason.load() != nullptr; }
  // Ends the run after this command. To be called in a chunk, so that no thread has gone on to the next.
  void leave() const { state_.last = command; }
  bool ended() const { return command > state_.last; }

  Team team;
  int64_t command = 0;  // its index in the list

 private:
  void report(const char* reason, int64_t row, int64_t given, int64_t limit) const {
    const char* none = nullptr;
    if (!state_.fault.reason.compare_exchange_strong(none, reason)) return;
    state_.fault.command = command;
    state_.fault.row = row;
    state_.fault.given = given;
    state_.fault.limit = limit;
  }

  char* heap_;
  char* scratch_;
  const Panels& panels_;
  RunState& state_;
};

}  // namespace simdformer
