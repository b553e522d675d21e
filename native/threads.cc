#include "threads.h"

#include <chrono>
#include <mutex>

#include "priority.h"
#include "processors.h"

namespace simdformer {
namespace {

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

#ifdef __wasm__

// A browser's main thread must not sleep, so it spins for this lock, which is never held for long.
class Mutex {
 public:
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire)) pause();
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

// True if the thread that runs jobs may sleep. A page's main thread may not; pool threads may.
bool callerSleeps = false;

// Number of polls before Backoff lets other threads run: about ten microseconds, the duration of the shortest sleep.
constexpr int kPolls = 20000;

#ifdef __wasm_atomics__

void sleepWhile(std::atomic<uint32_t>& word, uint32_t value) {
  __builtin_wasm_memory_atomic_wait32(reinterpret_cast<int*>(&word), static_cast<int>(value), -1);
}

void wakeSleepers(std::atomic<uint32_t>& word) {
  __builtin_wasm_memory_atomic_notify(reinterpret_cast<int*>(&word), kMaxThreads);
}

// Sleeps until the timeout; no thread wakes it.
void yield() {
  static int never = 0;
  constexpr int64_t kNanoseconds = 20000;
  __builtin_wasm_memory_atomic_wait32(&never, 0, kNanoseconds);
}

#else

void sleepWhile(std::atomic<uint32_t>&, uint32_t) {}
void wakeSleepers(std::atomic<uint32_t>&) {}
void yield() {}

#endif

// WebAssembly has no clock.
class Patience {
 public:
  bool ended() { return --rounds_ == 0; }

 private:
  int rounds_ = 512;
};

#else

using Mutex = std::mutex;

constexpr bool callerSleeps = true;
constexpr int kPolls = 2000;

inline void yield() { std::this_thread::yield(); }
void sleepWhile(std::atomic<uint32_t>& word, uint32_t value) { word.wait(value, std::memory_order_acquire); }
void wakeSleepers(std::atomic<uint32_t>& word) { word.notify_all(); }

class Patience {
 public:
  bool ended() { return std::chrono::steady_clock::now() >= end_; }

 private:
  const std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
};

#endif

// Waits in a loop: spins for a few microseconds, then yields to other threads of the machine.
class Backoff {
 public:
  explicit Backoff(int thread) : yields_(thread != 0 || callerSleeps) {}

  void wait() {
    if (++polls_ < kPolls || !yields_) return pause();
    yield();
  }

 private:
  const bool yields_;
  int polls_ = 0;
};

class Pool {
 public:
#ifndef __wasm__
  explicit Pool(Priority priority) : priority_(priority) {}
#endif

  void post(Job& job) {
    const std::lock_guard<Mutex> lock(mutex_);
    job.processors[0] = processor();
#ifndef __wasm__  // JavaScript starts the threads
    // If the system refuses more threads, the existing ones do all the work.
    std::thread worker;
    while (workers_ < job.threads - 1 && startThread(worker, [this] { work(); })) {
      worker.detach();
      ++workers_;
    }
    for (Sleeper* sleeper = crowds_ ? sleepers_ : nullptr; sleeper != nullptr; sleeper = sleeper->next)
      sleeper->avoidProcessor(job.processors[0]);
#endif
    job.next = jobs_;
    jobs_ = &job;
    posted_.fetch_add(1, std::memory_order_release);
    wakeSleepers(posted_);
  }

  void close(Job& job) {
    const std::lock_guard<Mutex> lock(mutex_);
    Job** link = &jobs_;
    while (*link != &job) link = &(*link)->next;
    *link = job.next;
  }

#ifdef __wasm__
  void dismiss() {
    const std::lock_guard<Mutex> lock(mutex_);
    ++dismissals_;
    posted_.fetch_add(1, std::memory_order_release);
    wakeSleepers(posted_);
  }
#endif

  // The loop of a pool thread. Threads of the addon never leave it.
  void work([[maybe_unused]] uint32_t dismissals = 0) {
    Sleeper self;
#ifndef __wasm__
    if (priority_ == Priority::kBackground) lowerPriority();
    {
      const std::lock_guard<Mutex> lock(mutex_);
      self.next = sleepers_;
      sleepers_ = &self;
    }
#endif
    for (;;) {
      int thread = 0;
      bool shares = false;
      Job* job = nullptr;
      {
        std::unique_lock<Mutex> lock(mutex_);
        for (;;) {
#ifdef __wasm__
          if (dismissals_ != dismissals) return;
#endif
          job = openJob();
          if (job != nullptr) break;
          const uint32_t seen = posted_.load(std::memory_order_relaxed);
          lock.unlock();
          if (!spin(seen)) {
            self.fallAsleep();
            sleepWhile(posted_, seen);
          }
          lock.lock();
          self.wakeUp();
        }
        thread = job->taken++;
        job->inside.fetch_add(1, std::memory_order_relaxed);
        shares = takeProcessor(*job, thread);
        crowds_ = crowds_ || shares;
      }
      if (shares) leaveProcessors(job->processors, thread);
      job->walk(job->data, *job, thread);
      job->inside.fetch_sub(1, std::memory_order_release);
      self.release();
    }
  }

 private:
  // True if this thread runs on the same processor as an earlier thread of its job. The lock is held.
  static bool takeProcessor(Job& job, int thread) {
    const int mine = processor();
    job.processors[thread] = mine;
    for (int before = 0; before < thread; ++before)
      if (mine >= 0 && job.processors[before] == mine) return true;
    return false;
  }

  // Returns a job that may have one more thread. The lock is held.
  Job* openJob() {
    for (Job* job = jobs_; job != nullptr; job = job->next)
      if (job->taken < job->threads) return job;
    return nullptr;
  }

  // Spins for a new job, for the usual gap between two runs of a busy program. Returns true if one came.
  bool spin(uint32_t seen) {
    Patience patience;
    do {
      for (int i = 0; i < 64; ++i) {
        if (posted_.load(std::memory_order_acquire) != seen) return true;
        pause();
      }
    } while (!patience.ended());
    return false;
  }

#ifndef __wasm__
  const Priority priority_;
#endif
  Mutex mutex_;
  Job* jobs_ = nullptr;
  bool crowds_ = false;  // true if a thread woke up on the processor of another thread of its job
#ifndef __wasm__
  Sleeper* sleepers_ = nullptr;  // its threads
  int workers_ = 0;
#else
  uint32_t dismissals_ = 0;
#endif
  std::atomic<uint32_t> posted_{0};
};

// Never destroyed, because their threads live longer than main() and end with the process.
#ifndef __wasm__
Pool& normal_pool = *new Pool(Priority::kNormal);
Pool& background_pool = *new Pool(Priority::kBackground);

Pool& poolOf(Priority priority) { return priority == Priority::kNormal ? normal_pool : background_pool; }
#else
Pool& pool = *new Pool;

Pool& poolOf(Priority) { return pool; }
#endif

enum class Claim { kChunk, kNone, kOver };

// Claims a chunk of a lane of `length` chunks for a thread in `phase`: the first, or from the back the last. Sets `at` to
// its position. Returns kNone if all are claimed, and kOver if the phase has ended.
Claim claimOf(Lane& lane, uint32_t phase, uint32_t length, bool fromBack, uint32_t& at) {
  const bool bothEnds = length <= 0xffff;
  uint64_t claims = lane.claims.load(std::memory_order_acquire);
  for (;;) {
    const uint32_t last = static_cast<uint32_t>(claims >> 32);
    if (last > phase) return Claim::kOver;
    const uint64_t claimed = last == phase ? claims : uint64_t{phase} << 32;
    const uint32_t counts = static_cast<uint32_t>(claimed);
    const uint32_t front = bothEnds ? counts & 0xffff : counts, back = bothEnds ? counts >> 16 : 0;
    if (front + back >= length) return Claim::kNone;
    const bool takesBack = fromBack && bothEnds;
    at = takesBack ? length - 1 - back : front;
    if (lane.claims.compare_exchange_weak(claims, claimed + (takesBack ? 1 << 16 : 1), std::memory_order_acq_rel))
      return Claim::kChunk;
  }
}

}  // namespace

void Team::parallel(uint32_t chunks, void (*body)(const void*, uint32_t), const void* self) {
  const uint32_t phase = phase_++;
  if (chunks == 0) {
    uint32_t expected = phase;
    job_.phase.compare_exchange_strong(expected, phase + 1, std::memory_order_acq_rel);
    return;
  }
  const uint32_t lanes = lanesOf(chunks);
  for (uint32_t i = 0; i < lanes; ++i) {
    const uint32_t lane = (static_cast<uint32_t>(thread_) + i) % lanes, first = firstOf(lane, lanes, chunks);
    const uint32_t length = firstOf(lane + 1, lanes, chunks) - first;
    uint32_t done = 0;
    for (uint32_t at = 0;; ++done) {
      const Claim claim = claimOf(job_.lanes[lane], phase, length, i > 0, at);
      if (claim == Claim::kOver) return;
      if (claim == Claim::kNone) break;
      body(self, first + at);
    }
    if (done > 0 && job_.done.fetch_add(done, std::memory_order_acq_rel) + done == chunks) {
      job_.done.store(0, std::memory_order_relaxed);
      job_.phase.store(phase + 1, std::memory_order_release);
      return;
    }
  }
  for (Backoff backoff(thread_); job_.phase.load(std::memory_order_acquire) == phase;) backoff.wait();
}

void runJob(int threads, Priority priority, void (*walk)(void* data, Job& job, int thread), void* data) {
  Job job{.walk = walk, .data = data, .threads = threads};
  Pool& pool = poolOf(priority);
  if (threads > 1) pool.post(job);
  walk(data, job, 0);
  if (threads == 1) return;
  pool.close(job);
  for (Backoff backoff(0); job.inside.load(std::memory_order_acquire) != 0;) backoff.wait();
}

#ifdef __wasm__
void joinPool(uint32_t dismissals) { pool.work(dismissals); }
void dismissPool() { pool.dismiss(); }
void letCallerSleep() { callerSleeps = true; }
#endif

}  // namespace simdformer
