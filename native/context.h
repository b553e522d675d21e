// The environment of a running kernel: the heap, the thread's team and scratch memory, and reports of invalid data.
#pragma once
#include <atomic>

#include "abi.h"
#include "panels.h"
#include "threads.h"

namespace simdformer {

// Size of a thread's scratch memory. It is 64-byte aligned, and its contents are undefined at the start of each chunk.
inline constexpr size_t kScratchBytes = size_t{4} << 20, kScratchFloats = kScratchBytes / sizeof(float);

// The first invalid value found in a run, and the command that found it.
struct Fault {
  std::atomic<const char*> reason{nullptr};
  int64_t command = -1;
  int64_t row = -1;               // row of the operand that `reason` names; -1 if `reason` is a sentence
  int64_t given = 0, limit = -1;  // the value, and its exclusive upper bound; -1 if there is none
};

// The state of one run, shared by its threads.
struct RunState {
  Fault fault;
  std::atomic<int64_t> last{INT64_MAX};  // the command after which the run ends
};

class Context {
 public:
  // `scratch` is the scratch memory of all threads, one after the other.
  Context(char* heap, char* scratch, const Panels& panels, Job& job, int thread, RunState& state)
      : team(job, thread),
        heap_(heap),
        scratch_(scratch + kScratchBytes * static_cast<size_t>(thread)),
        panels_(panels),
        state_(state) {}

  float* f32(Span span) const { return reinterpret_cast<float*>(heap_ + size_t{4} * span.offset); }
  int32_t* i32(Span span) const { return reinterpret_cast<int32_t*>(heap_ + size_t{4} * span.offset); }
  // True if an operand lies in panels (panels.h). This is possible for a kernel's weight operand only.
  bool inPanels(Span span) const { return panels_.has(span.offset); }
  // The calling thread's scratch memory: kScratchFloats.
  float* scratch() const { return reinterpret_cast<float*>(scratch_); }
  // Reports invalid data in the heap, such as a negative length. The kernel must go on without accessing memory outside
  // its operands. The run fails with the first report. `given` is the invalid value, and valid ones are from 0 to below
  // `limit`, if that is not negative. Call it in a chunk.
  void fail(const char* reason, int64_t given = 0, int64_t limit = -1) const { report(reason, -1, given, limit); }
  // Like fail(), for an invalid integer in a row of an operand, such as an id outside the vocabulary.
  void failAt(const char* operand, uint64_t row, int64_t given, int64_t limit) const {
    report(operand, static_cast<int64_t>(row), given, limit);
  }
  // True if a report was made before. Call it in a chunk, because no thread then runs a later command.
  bool failed() const { return state_.fault.reason.load() != nullptr; }
  // Ends the run after this command. Call it in a chunk, because no thread then runs a later command.
  void leave() const { state_.last = command; }
  bool ended() const { return command > state_.last; }

  Team team;
  int64_t command = 0;  // index in the command list

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
