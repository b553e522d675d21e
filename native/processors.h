// Placement of a run's threads on processors. Linux often wakes a thread on the processor of the thread that woke it,
// where it waits for milliseconds. In virtual machines, whose idle processors look busy, it nearly always does so.
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

// Excludes processors from those on which a thread may run, unless none would be left. Returns true if it did.
// `allowed` receives the previous set. Thread 0 is the calling thread.
inline bool excludeProcessors(pid_t thread, const int* taken, int count, cpu_set_t& allowed) {
  if (sched_getaffinity(thread, sizeof allowed, &allowed) != 0) return false;
  cpu_set_t others = allowed;
  for (int i = 0; i < count; ++i) CPU_CLR(taken[i], &others);
  return CPU_COUNT(&others) > 0 && sched_setaffinity(thread, sizeof others, &others) == 0;
}

// Moves the calling thread to a processor outside of `taken`, if there is one.
inline void leaveProcessors(const int* taken, int count) {
  cpu_set_t allowed;
  if (excludeProcessors(0, taken, count, allowed)) sched_setaffinity(0, sizeof allowed, &allowed);
}

// A thread that sleeps from time to time.
class Sleeper {
 public:
  // Called by the thread itself, before and after it sleeps.
  void fallAsleep() { isAsleep_.store(true, std::memory_order_release); }
  void wakeUp() { isAsleep_.store(false, std::memory_order_relaxed); }

  // Called by a thread that is about to wake it: a sleeping thread will not wake up on this processor, unless there is
  // no other. It must not wake up meanwhile.
  void avoidProcessor(int processor) {
    if (isAsleep_.load(std::memory_order_acquire) && !isRestricted_)
      isRestricted_ = excludeProcessors(thread_, &processor, 1, allowed_);
  }

  // Called by the thread itself when it is idle: it may run everywhere again.
  void release() {
    if (isRestricted_) sched_setaffinity(thread_, sizeof allowed_, &allowed_);
    isRestricted_ = false;
  }

  Sleeper* next = nullptr;

 private:
  const pid_t thread_ = static_cast<pid_t>(syscall(SYS_gettid));
  std::atomic<bool> isAsleep_{false};
  cpu_set_t allowed_;
  bool isRestricted_ = false;
};

#else

inline int processor() { return -1; }
inline void leaveProcessors(const int*, int) {}

class Sleeper {
 public:
  void fallAsleep() {}
  void wakeUp() {}
  void avoidProcessor(int) {}
  void release() {}
  Sleeper* next = nullptr;
};

#endif

}  // namespace simdformer
