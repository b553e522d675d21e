// The environment of a running kernel: the heap, its team, its thread's scratch memory, and the place for reports of
// bad data.
#pragma once
#include <atomic>

#include "abi.h"
#include "panels.h"
#include "threads.h"

namespace simdformer {

// Scratch memory of one thread, 64-byte aligned, contents undefined at the start of each parallel() chunk.
inline constexpr size_t kScratchBytes = size_t{4} << 20, kScratchFloats = kScratchBytes / sizeof(float);

// The first invalid value that a run found, and the command that found it.
struct Fault {
  std::atomic<const char*> reason{nullptr};
  int64_t command = -1;
  int64_t row = -1;               // row of the operand that `reason` names; -1 if `reason` is a plain reason
  int64_t given = 0, limit = -1;  // the value, and its exclusive upper bound; -1 if there is none
};

// The state of one run, shared by its threads.
struct RunState {
  Fault fault;
  std::atomic<int64_t> last{INT64_MAX};  // the command after which the run ends
};

class Context {
 public:
  // `scratch` is the memory of all threads, one after the other.
  Context(char* heap, char* scratch, const Panels& panels, Job& job, int thread, RunState& state)
      : team(job, thread),
        heap_(heap),
        scratch_(scratch + kScratchBytes * static_cast<size_t>(thread)),
        panels_(panels),
        state_(state) {}

  float* f32(Span span) const { return reinterpret_cast<float*>(heap_ + size_t{4} * span.offset); }
  int32_t* i32(Span span) const { return reinterpret_cast<int32_t*>(heap_ + size_t{4} * span.offset); }
  // True if an operand lies in panels. Only a kernel's weight operand can.
  bool inPanels(Span span) const { return panels_.has(span.offset); }
  // The calling thread's scratch memory: kScratchFloats.
  float* scratch() const { return reinterpret_cast<float*>(scratch_); }
  // Reports invalid data in the heap, such as an id outside the vocabulary or a negative length. The command continues
  // without touching other memory. The run ends with the first such reason, and with the given number if one from 0 to
  // below `limit` was expected. Call it in a chunk.
  void fail(const char* reason, int64_t given = 0, int64_t limit = -1) const { report(reason, -1, given, limit); }
  // Reports an invalid integer in a row of an operand, such as an id outside the vocabulary.
  void failAt(const char* operand, uint64_t row, int64_t given, int64_t limit) const {
    report(operand, static_cast<int64_t>(row), given, limit);
  }
  // True if an earlier command has reported a fault. Call it in a chunk, where no thread has gone further.
  bool failed() const { return state_.fault.reason.load() != nullptr; }
  // Ends the run after this command. Call it in a chunk, so that no thread has gone on to the next command.
  void leave() const { state_.last = command; }
  bool ended() const { return command > state_.last; }

  Team team;
  int64_t command = 0;  // index in the list

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
