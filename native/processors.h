// On which processors the threads of a run are. Linux often wakes a thread on the processor of the one that woke it,
// behind which it then waits for milliseconds: in virtual machines, whose idle processors look taken to it, nearly
// always.
#pragma once
#ifdef __linux__
#include <atomic>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace simdformer {

#ifdef __linux__

// The processor of the calling thread.
inline int processor() { return sched_getcpu(); }

// Takes processors from those on which a thread may run, unless none would be left; returns whether it did. `allowed`
// receives those on which it could run before. Thread 0 is the calling one.
inline bool narrow(pid_t thread, const int* taken, int count, cpu_set_t& allowed) {
  if (sched_getaffinity(thread, sizeof allowed, &allowed) != 0) return false;
  cpu_set_t others = allowed;
  for (int i = 0; i < count; ++i) CPU_CLR(taken[i], &others);
  return CPU_COUNT(&others) > 0 && sched_setaffinity(thread, sizeof others, &others) == 0;
}

// Moves the calling thread to a processor that is none of `taken`, if there is one.
inline void leaveProcessors(const int* taken, int count) {
  cpu_set_t allowed;
  if (narrow(0, taken, count, allowed)) sched_setaffinity(0, sizeof allowed, &allowed);
}

// A thread that sleeps now and then.
class Sleeper {
 public:
  // Called by the thread itself, before it sleeps and after.
  void fallAsleep() { isAsleep_.store(true, std::memory_order_release); }
  void wakeUp() { isAsleep_.store(false, std::memory_order_relaxed); }

  // Called by the thread that is about to wake it: if it sleeps, it will not wake up on this processor, unless there is
  // no other. It must not wake up meanwhile.
  void keepFrom(int processor) {
    if (isAsleep_.load(std::memory_order_acquire) && !isKept_) isKept_ = narrow(thread_, &processor, 1, allowed_);
  }

  // Called by the thread itself, when it has time to spare: it may run everywhere again.
  void release() {
    if (isKept_) sched_setaffinity(thread_, sizeof allowed_, &allowed_);
    isKept_ = false;
  }

  Sleeper* next = nullptr;

 private:
  const pid_t thread_ = static_cast<pid_t>(syscall(SYS_gettid));
  std::atomic<bool> isAsleep_{false};
  cpu_set_t allowed_;
  bool isKept_ = false;
};

#else

inline int processor() { return -1; }
inline void leaveProcessors(const int*, int) {}

class Sleeper {
 public:
  void fallAsleep() {}
  void wakeUp() {}
  void keepFrom(int) {}
  void release() {}
  Sleeper* next = nullptr;
};

#endif

}  // namespace simdformer
