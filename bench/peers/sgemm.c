// OpenBLAS's sgemm and this machine's peak, driven over a pipe by bench/gemm.ts, which builds it.
//
// Reads [transposeA, transposeB, m, n, k, threads, times] a line. Answers {"seconds": of one product, "sample": […]},
// the latter some elements of C = op(A)·op(B) from the first to the last, with A and B, as stored, counting up as
// fill() does. Answers m = 0 with {"seconds": of `times` rounds of multiply-adds in registers, "flops": in them}.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { kSamples = 64, kChains = 12, kRound = 1000000 };

#ifdef __AVX512F__
typedef float Vector __attribute__((vector_size(64)));
#else
typedef float Vector __attribute__((vector_size(32)));
#endif

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float* fill(size_t count, size_t period) {
  float* x = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
  for (size_t i = 0; i < count; ++i) x[i] = (float)(i % period) / (float)period - .5f;
  return x;
}

static void* multiplyAdd(void* times) {
  static volatile float sink;
  const Vector zero = {0}, x = zero + .5f, y = zero + (float)*(int*)times;
  Vector sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = zero + (float)c;  // chains that differ cannot become one
  for (long i = *(int*)times * (long)kRound; i > 0; --i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * x + y;
  }
  for (int c = 0; c < kChains; ++c) sink = sum[c][0];
  return NULL;
}

static void peak(int threads, int times) {
  pthread_t others[64];
  const double start = now();
  for (int t = 1; t < threads; ++t) pthread_create(&others[t], NULL, multiplyAdd, &times);
  multiplyAdd(&times);
  for (int t = 1; t < threads; ++t) pthread_join(others[t], NULL);
  const double flops = 2. * sizeof(Vector) / sizeof(float) * kChains * kRound * threads * times;
  printf("{\"seconds\": %.9g, \"flops\": %.9g}\n", now() - start, flops);
}

int main(void) {
  void* library = dlopen("libopenblas.so.0", RTLD_NOW);
  if (library == NULL) {
    fprintf(stderr, "libopenblas.so.0 is not installed\n");
    return 1;
  }
  void (*setThreads)(int) = (void (*)(int))dlsym(library, "openblas_set_num_threads");
  void (*sgemm)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int) =
      (void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int))dlsym(
          library, "cblas_sgemm");
  float *a = NULL, *b = NULL, *c = NULL;
  int was[5] = {0};
  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    int s[5], threads, times;  // s: transposeA transposeB m n k
    if (sscanf(line, "[%d,%d,%d,%d,%d,%d,%d]", s, s + 1, s + 2, s + 3, s + 4, &threads, &times) != 7) return 1;
    const int m = s[2], n = s[3], k = s[4];
    if (m == 0) {
      peak(threads, times);
      fflush(stdout);
      continue;
    }
    for (int i = 0; i < 5; ++i) {
      if (s[i] == was[i]) continue;
      free(a), free(b), free(c);
      a = fill((size_t)m * k, 4093), b = fill((size_t)k * n, 4091), c = fill((size_t)m * n, 1);
      for (i = 0; i < 5; ++i) was[i] = s[i];
    }
    setThreads(threads);
    const double start = now();
    for (int i = 0; i < times; ++i)
      sgemm(101, s[0] ? 112 : 111, s[1] ? 112 : 111, m, n, k, 1, a, s[0] ? m : k, b, s[1] ? k : n, 0, c, n);
    printf("{\"seconds\": %.9g, \"sample\": [%.9g", (now() - start) / times, (double)c[0]);
    for (size_t i = 1; i < kSamples; ++i) printf(", %.9g", (double)c[((size_t)m * n - 1) * i / (kSamples - 1)]);
    printf("]}\n");
    fflush(stdout);
  }
  return 0;
}
