// Measures the limits of this machine. bench/harness/limits.ts builds it and drives it over a pipe.
//
// Reads a line, answers with {"seconds": …} of one repetition by the slowest thread, all of them having begun together:
//   [0, threads, repeats]                        a million rounds of twelve multiply-adds of vectors in registers; also "flops"
//   [2, threads, repeats]                        the same of vectors of bytes, products of four of which are added; also "flops",
//                                                0 where this machine has no such instruction
//   [1, threads, repeats, reads, writes, bytes]  one pass over `reads` + `writes` arrays of `bytes` each
// Large arrays are written past the caches as well, and the faster of both counts.
#define _GNU_SOURCE
#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mman.h>
#endif
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

enum { kChains = 12, kRound = 1000000, kMaxThreads = 64, kMaxStreams = 8, kUnroll = 4 };

#ifdef __AVX512F__
enum { kBytes = 64 };
#else
enum { kBytes = 32 };
#endif
typedef float Vector __attribute__((vector_size(kBytes)));

typedef struct {
  int kind, threads, repeats, reads, writes;
  size_t bytes;
  bool streaming;
} Question;

static Question question;
static int questions;
static pthread_barrier_t together;
static volatile float sink;
static Vector* arrays[kMaxStreams];
static size_t allocated;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void multiplyAdd(void) {
  const Vector zero = {0}, x = zero + .5f, y = zero + (float)question.repeats;
  Vector sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = zero + (float)c;  // chains that differ cannot become one
  for (long i = question.repeats * (long)kRound; i > 0; --i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * x + y;
  }
  for (int c = 0; c < kChains; ++c) sink = sum[c][0];
}

#ifdef __AVX512VNNI__
enum { kByteOperations = 128 };
static void multiplyBytes(void) {
  const __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8((char)question.repeats);
  __m512i sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = _mm512_set1_epi32(c);
  for (long i = question.repeats * (long)kRound; i > 0; --i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_dpbusd_epi32(sum[c], x, y);
  }
  for (int c = 0; c < kChains; ++c) sink = (float)_mm512_reduce_add_epi32(sum[c]);
}
#else
enum { kByteOperations = 0 };
static void multiplyBytes(void) {}
#endif

static inline void put(Vector* to, Vector x, bool streaming) {
#if defined __AVX512F__
  if (streaming) return _mm512_stream_ps((float*)to, (__m512)x);
#elif defined __AVX__
  if (streaming) return _mm256_stream_ps((float*)to, (__m256)x);
#endif
  *to = x;
}

/** The sum of what is read, and the sum's latest term to every array that is written. */
static inline __attribute__((always_inline)) void pass(int reads, int writes, size_t first, size_t last, bool streaming) {
  Vector sum[kUnroll] = {{0}};
  for (size_t i = first; i + kUnroll <= last; i += kUnroll) {
    Vector x[kUnroll];
#pragma GCC unroll 4
    for (int u = 0; u < kUnroll; ++u) {
      x[u] = sum[u];
      for (int r = 0; r < reads; ++r) x[u] += arrays[r][i + u];
      if (writes == 0) sum[u] = x[u];
      for (int w = 0; w < writes; ++w) put(&arrays[reads + w][i + u], x[u], streaming);
    }
  }
  for (int u = 0; u < kUnroll; ++u) sink = sum[u][0];
}

static void move(int thread) {
  const size_t vectors = question.bytes / kBytes, step = (vectors / (size_t)question.threads) & ~(size_t)(kUnroll - 1);
  const size_t first = step * (size_t)thread, last = thread + 1 == question.threads ? vectors : first + step;
  const bool streaming = question.streaming;
  for (int i = 0; i < question.repeats; ++i) {
    switch (question.reads * 10 + question.writes) {  // numbers that the compiler knows
      case 10: pass(1, 0, first, last, streaming); break;
      case 11: pass(1, 1, first, last, streaming); break;
      case 21: pass(2, 1, first, last, streaming); break;
      case 31: pass(3, 1, first, last, streaming); break;
      case 43: pass(4, 3, first, last, streaming); break;
      default: pass(question.reads, question.writes, first, last, streaming);
    }
  }
}

/**
 * For every other question: each thread on a processor of its own. The system may leave two on one for seconds; but
 * processors that follow each other may be halves of one core, so that both ways are tried, and the faster one counts.
 */
#ifdef __linux__
static cpu_set_t allowed;
static void spread(int thread) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed) && seen++ == thread) CPU_SET(cpu, &mine);
  const bool spreads = questions % 2 == 0 && CPU_COUNT(&mine) > 0;
  sched_setaffinity(0, sizeof allowed, spreads ? &mine : &allowed);
}
#else
static void spread(int thread) { (void)thread; }
#endif

static void* work(void* threadAndTime) {
  double* time = threadAndTime;
  const int thread = (int)*time;
  spread(thread);
  pthread_barrier_wait(&together);
  const double start = now();
  if (question.kind == 0) multiplyAdd();
  else if (question.kind == 2) multiplyBytes();
  else move(thread);
  *time = now() - start;
  return NULL;
}

/** Seconds of the slowest thread, for one repetition. */
static double measure(void) {
  pthread_t threads[kMaxThreads];
  double times[kMaxThreads];
  pthread_barrier_init(&together, NULL, (unsigned)question.threads);
  for (int t = 0; t < question.threads; ++t) times[t] = t;
  for (int t = 1; t < question.threads; ++t) pthread_create(&threads[t], NULL, work, &times[t]);
  work(&times[0]);
  for (int t = 1; t < question.threads; ++t) pthread_join(threads[t], NULL);
  pthread_barrier_destroy(&together);
  double slowest = 0;
  for (int t = 0; t < question.threads; ++t) slowest = times[t] > slowest ? times[t] : slowest;
  return slowest / question.repeats;
}

/** Numbers of all kinds between -1 and 1: a machine may write lines of zeros faster (Zen 5: by a sixth). */
static void fill(float* to, size_t count) {
  unsigned state = 1;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    to[i] = (float)(int)state / 2147483648.f;
  }
}

static void allocate(size_t bytes) {
  if (bytes == allocated) return;
  for (int i = 0; i < kMaxStreams; ++i) {
    free(arrays[i]);
    arrays[i] = NULL;
  }
  allocated = bytes;
}

int main(void) {
  char line[256];
#ifdef __linux__
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
#endif
  while (fgets(line, sizeof line, stdin) != NULL) {
    question = (Question){.bytes = 0};
    ++questions;
    const int fields = sscanf(line, "[%d,%d,%d,%d,%d,%zu]", &question.kind, &question.threads, &question.repeats,
                              &question.reads, &question.writes, &question.bytes);
    if ((fields != 3 && fields != 6) || question.threads < 1 || question.threads > kMaxThreads ||
        question.reads + question.writes > kMaxStreams)
      return 1;
    const size_t bytes = question.bytes / (kBytes * kUnroll) * (kBytes * kUnroll);
    question.bytes = bytes;
    allocate(bytes);
    for (int i = 0; i < question.reads + question.writes; ++i) {
      if (arrays[i] != NULL) continue;
      // Odd numbers of lines apart: arrays at the same place of every page would share sets of the caches.
      const size_t size = bytes + 4096;
      const size_t whole = (size + (1 << 21) - 1) >> 21 << 21;
      if (posix_memalign((void**)&arrays[i], 1 << 21, whole) != 0) return 1;
#ifdef __linux__
      madvise(arrays[i], whole, MADV_HUGEPAGE);  // as large pages are read faster
#endif
      fill((float*)arrays[i], bytes / sizeof(float));
    }
    double seconds = measure();
    if (question.writes > 0) {
      question.streaming = true;
      const double past = measure();
      seconds = past < seconds ? past : seconds;
    }
    const double inVector = question.kind == 0 ? 2. * kBytes / sizeof(float) : question.kind == 2 ? kByteOperations : 0;
    printf("{\"seconds\": %.9g, \"flops\": %.9g}\n", seconds, inVector * kChains * kRound * question.threads);
    fflush(stdout);
  }
  return 0;
}
