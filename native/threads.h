// The thread pool of a process, and the division of a run's work among its threads.
//
// A run is a list of phases, each with a number of chunks. Every thread of a run makes the same sequence of parallel()
// calls. The chunks of a phase form lanes of equal length. A thread claims the chunks of its own lane in order and so
// reads memory in one stream. Then it helps the other lanes from their ends. A phase ends when its chunks are done,
// without waiting for every thread. A thread that the system has suspended delays only its own chunk. A late thread
// finds the phase over and goes on.
//
// Results never depend on the thread that computes a chunk. Chunks are cut by shape alone, or so that the cut affects
// no bit.
#pragma once
#include <atomic>
#include <cstdint>
#ifndef __wasm__
#include <system_error>
#include <thread>
#endif

namespace simdformer {

inline constexpr int kMaxThreads = 64;

// Maximum number of lanes of a phase. More threads share lanes.
inline constexpr uint32_t kMaxLanes = 8;

// Claims of the chunks of a lane. The upper half of `claims` is the phase of the last claim. An older phase means that
// nothing is claimed yet. The lower half counts claims from the front and, in its upper bits, claims from the back. A
// very long lane has claims from the front only.
struct Lane {
  alignas(64) std::atomic<uint64_t> claims{0};
};

// A run in progress, shared by its threads.
struct Job {
  void (*walk)(void* data, Job& job, int thread);  // work of each thread; thread 0 is the caller
  void* data;
  int threads;                       // maximum number of threads, including the caller
  int taken = 1;                     // guarded by the pool's lock
  int processors[kMaxThreads] = {};  // processors on which the threads began; guarded by the same lock
  alignas(64) std::atomic<uint32_t> phase{1};
  alignas(64) std::atomic<uint32_t> done{0};  // finished chunks of this phase
  alignas(64) std::atomic<int> inside{0};     // pool threads in walk()
  Lane lanes[kMaxLanes] = {};
  Job* next = nullptr;
};

// One thread's place in a job.
class Team {
 public:
  Team(Job& job, int thread) : job_(job), thread_(thread) {}
  int threads() const { return job_.threads; }

  // Calls body(chunk) once for every chunk in [0, chunks), spread over the team, and returns when all are done. The
  // number of parallel() calls of a kernel must depend only on its operands, never on heap data. A late thread may see
  // stale heap data. Its chunks never run, but its code between two phases must not crash.
  template <class Body>
  void parallel(uint32_t chunks, const Body& body) {
    parallel(chunks, [](const void* self, uint32_t chunk) { (*static_cast<const Body*>(self))(chunk); }, &body);
  }

  // Like parallel(), over items [0, count) in runs of `grain`, at least 1: calls body(first, last) for each run.
  template <class Body>
  void parallelRange(uint64_t count, uint64_t grain, const Body& body) {
    const uint64_t chunks = (count + grain - 1) / grain;
    parallel(static_cast<uint32_t>(chunks), [&](uint32_t chunk) {
      const uint64_t first = chunk * grain;
      body(first, first + grain < count ? first + grain : count);
    });
  }

  // Returns the chunk that this thread will probably run after this one, or this one if there is none. For prefetching.
  uint32_t after(uint32_t chunk, uint32_t chunks) const {
    const uint32_t lanes = lanesOf(chunks), lane = static_cast<uint32_t>(thread_) % lanes;
    const uint32_t next = chunk + threadsOf(lane, lanes);
    const bool isOwn = chunk >= firstOf(lane, lanes, chunks) && next < firstOf(lane + 1, lanes, chunks);
    return isOwn ? next : chunk;
  }

 private:
  uint32_t lanesOf(uint32_t chunks) const {
    const uint32_t threads = static_cast<uint32_t>(job_.threads), most = threads < kMaxLanes ? threads : kMaxLanes;
    return chunks < most ? chunks : most;
  }
  static uint32_t firstOf(uint32_t lane, uint32_t lanes, uint32_t chunks) {
    return static_cast<uint32_t>(uint64_t{chunks} * lane / lanes);
  }
  // Returns the number of threads whose own lane this is.
  uint32_t threadsOf(uint32_t lane, uint32_t lanes) const {
    return (static_cast<uint32_t>(job_.threads) - 1 - lane) / lanes + 1;
  }
  void parallel(uint32_t chunks, void (*body)(const void*, uint32_t), const void* self);

  Job& job_;
  int thread_;
  uint32_t phase_ = 1;
};

// Background threads leave the processors to others. They have a pool of their own, because Linux does not let a thread
// raise its priority again. In WebAssembly all threads are alike.
enum class Priority { kNormal, kBackground };

// Runs `walk` on the calling thread and on up to threads-1 threads of the pool of this priority. Returns when all have
// left it. The calling thread keeps its own priority.
void runJob(int threads, Priority priority, void (*walk)(void* data, Job& job, int thread), void* data);

#ifndef __wasm__
// Starts `work` on `thread`. Returns false if the system refuses one more thread.
template <class Work>
bool startThread(std::thread& thread, const Work& work) {
  try {
    thread = std::thread(work);
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}
#else
// Makes the calling thread a pool thread until the next dismissPool(). It returns at once if there were more than
// `dismissals` so far.
void joinPool(uint32_t dismissals);
// Makes all pool threads leave the pool, without waiting for it. They take no job that is posted later. Not to be called
// during a run.
void dismissPool();
// Allows the thread that calls runJob() to sleep while it waits for others.
void letCallerSleep();
#endif

}  // namespace simdformer
