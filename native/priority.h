// The priority of threads, which tells the system whose work may wait.
#pragma once
#if defined(__linux__)
#include <sys/resource.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <pthread/qos.h>
#elif defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#endif

namespace simdformer {

// Lowers the priority of the calling thread for the rest of its life. Where the system refuses, the thread keeps its
// priority.
inline void lowerPriority() {
#if defined(__linux__)
  constexpr int kNice = 10;
  const int own = getpriority(PRIO_PROCESS, static_cast<id_t>(getpid()));  // The main thread has that of the process.
  setpriority(PRIO_PROCESS, 0, own + kNice);  // 0 is the calling thread here, not its process; 19 is the most
#elif defined(__APPLE__)
  pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0);
#elif defined(_WIN32)
  SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_LOWEST);
#endif
}

}  // namespace simdformer
