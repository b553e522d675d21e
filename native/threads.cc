#include "threads.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace simdformer {
namespace {

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins for a few microseconds, then lets other threads of the machine run.
class Backoff {
 public:
  void wait() {
    if (++spins_ < 2000) return pause();
    std::this_thread::yield();
  }

 private:
  int spins_ = 0;
};

class Pool {
 public:
  // Never destroyed: its threads outlive main() and end with the process.
  static Pool& get() {
    static Pool* pool = new Pool;
    return *pool;
  }

  void post(Job& job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (; workers_ < job.seats - 1; ++workers_) std::thread(&Pool::work, this).detach();
    job.next = jobs_;
    jobs_ = &job;
    posted_.fetch_add(1, std::memory_order_release);
    if (sleepers_ > 0) wake_.notify_all();
  }

  void close(Job& job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Job** link = &jobs_;
    while (*link != &job) link = &(*link)->next;
    *link = job.next;
  }

 private:
  void work() {
    for (uint32_t seen = 0;;) {
      int seat = 0;
      Job* job = nullptr;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        while ((job = openJob()) == nullptr) {
          seen = posted_.load(std::memory_order_relaxed);
          lock.unlock();
          const bool found = spin(seen);
          lock.lock();
          if (found || posted_.load(std::memory_order_relaxed) != seen) continue;
          ++sleepers_;
          wake_.wait(lock, [&] { return posted_.load(std::memory_order_relaxed) != seen; });
          --sleepers_;
        }
        seat = job->taken++;
        job->inside.fetch_add(1, std::memory_order_relaxed);
      }
      job->walk(job->data, *job, seat);
      job->inside.fetch_sub(1, std::memory_order_release);
    }
  }

  // A job with a free seat; the lock is held.
  Job* openJob() {
    for (Job* job = jobs_; job != nullptr; job = job->next)
      if (job->taken < job->seats) return job;
    return nullptr;
  }

  // Waits for a new job for as long as the gap between two runs of a busy program lasts.
  bool spin(uint32_t seen) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
    do {
      for (int i = 0; i < 64; ++i) {
        if (posted_.load(std::memory_order_acquire) != seen) return true;
        pause();
      }
    } while (std::chrono::steady_clock::now() < end);
    return false;
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  Job* jobs_ = nullptr;
  int workers_ = 0;
  int sleepers_ = 0;
  std::atomic<uint32_t> posted_{0};
};

}  // namespace

void Team::parallel(uint32_t chunks, void (*body)(const void*, uint32_t), const void* self) {
  const uint64_t phase = phase_++;
  const uint64_t next = (phase + 1) << 32;
  uint64_t ticket = job_.ticket.load(std::memory_order_acquire);
  for (;;) {
    if (ticket >> 32 != phase) return;  // over before this thread came
    const uint32_t chunk = static_cast<uint32_t>(ticket);
    if (chunks == 0) {
      if (job_.ticket.compare_exchange_weak(ticket, next, std::memory_order_acq_rel)) return;
      continue;
    }
    if (chunk >= chunks) break;
    if (!job_.ticket.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
    body(self, chunk);
    if (job_.done.fetch_add(1, std::memory_order_acq_rel) + 1 == chunks) {
      job_.done.store(0, std::memory_order_relaxed);
      job_.ticket.store(next, std::memory_order_release);
      return;
    }
    ticket = job_.ticket.load(std::memory_order_acquire);
  }
  for (Backoff backoff; job_.ticket.load(std::memory_order_acquire) >> 32 == phase;) backoff.wait();
}

void runJob(int threads, void (*walk)(void* data, Job& job, int seat), void* data) {
  Job job{.walk = walk, .data = data, .seats = threads};
  if (threads > 1) Pool::get().post(job);
  walk(data, job, 0);
  if (threads == 1) return;
  Pool::get().close(job);
  for (Backoff backoff; job.inside.load(std::memory_order_acquire) != 0;) backoff.wait();
}

}  // namespace simdformer
