// sgemm of OpenBLAS or oneDNN for bench/gemm.ts, driven over a pipe: sgemm openblas | onednn
//
// Prints {"version"}, then reads [transposeA, transposeB, m, n, k, threads, repeats] a line and answers {"seconds": of one product,
// "sample": of C = op(A)·op(B)}, with A, B and the sample as in bench/harness/ours.ts.
#define _GNU_SOURCE  // RTLD_DEFAULT
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kSamples = 64, kPeriodA = 1021, kPeriodB = 1019 };

typedef void (*SetThreads)(int);
typedef void (*Cblas)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
typedef int (*Dnnl)(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*, int64_t, float, float*,
                    int64_t);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float* fill(size_t count, size_t period) {
  float* x = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
  for (size_t i = 0; x != NULL && i < count; ++i) x[i] = (float)((double)(i % period) * (2. / (double)period) - 1);
  return x;
}

static void* find(void* library, const char* name) {
  void* symbol = library == NULL ? NULL : dlsym(library, name);
  if (symbol != NULL) return symbol;
  fprintf(stderr, "%s is not there: %s\n", name, dlerror());
  exit(1);
}

static void* openFirst(const char* const names[]) {
  void* library = NULL;
  for (; *names != NULL && library == NULL; ++names) library = dlopen(*names, RTLD_NOW | RTLD_GLOBAL);
  return library;
}

int main(int count, char** arguments) {
  const int isDnnl = count == 2 && strcmp(arguments[1], "onednn") == 0;
  Cblas cblas = NULL;
  Dnnl dnnl = NULL;
  SetThreads setThreads, setOpenMp = NULL;
  if (isDnnl) {
    void* library = openFirst((const char* const[]){"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so", NULL});
    dnnl = (Dnnl)find(library, "dnnl_sgemm");
    const int* version = ((const int* (*)(void))find(library, "dnnl_version"))();
    setThreads = (SetThreads)find(openFirst((const char* const[]){"libgomp.so.1", NULL}), "omp_set_num_threads");
    printf("{\"version\": \"%d.%d.%d\"}\n", version[0], version[1], version[2]);
  } else {
    void* library = openFirst((const char* const[]){"libopenblas.so.0", NULL});
    cblas = (Cblas)find(library, "cblas_sgemm");
    setThreads = (SetThreads)find(library, "openblas_set_num_threads");
    setOpenMp = (SetThreads)dlsym(RTLD_DEFAULT, "omp_set_num_threads");  // whose number wins, if it was built with it
    printf("{\"version\": \"%s\"}\n", ((char* (*)(void))find(library, "openblas_get_config"))());
  }
  fflush(stdout);

  float *a = NULL, *b = NULL, *c = NULL;
  int was[5] = {0};
  char line[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    int s[5], threads, repeats;  // s: transposeA transposeB m n k
    if (sscanf(line, "[%d,%d,%d,%d,%d,%d,%d]", s, s + 1, s + 2, s + 3, s + 4, &threads, &repeats) != 7) return 1;
    const int m = s[2], n = s[3], k = s[4];
    const size_t size = (size_t)m * (size_t)n;
    if (memcmp(s, was, sizeof s) != 0) {
      free(a), free(b), free(c);
      a = fill((size_t)m * (size_t)k, kPeriodA), b = fill((size_t)k * (size_t)n, kPeriodB), c = fill(size, 1);
      if (a == NULL || b == NULL || c == NULL) return 1;
      memcpy(was, s, sizeof s);
    }
    setThreads(threads);
    if (setOpenMp != NULL) setOpenMp(threads);
    const int lda = s[0] ? m : k, ldb = s[1] ? k : n;
    const double start = now();
    for (int i = 0; i < repeats; ++i) {
      if (isDnnl) dnnl(s[0] ? 'T' : 'N', s[1] ? 'T' : 'N', m, n, k, 1, a, lda, b, ldb, 0, c, n);
      else cblas(101, s[0] ? 112 : 111, s[1] ? 112 : 111, m, n, k, 1, a, lda, b, ldb, 0, c, n);
    }
    printf("{\"seconds\": %.9g, \"sample\": [%.9g", (now() - start) / repeats, (double)c[0]);
    for (size_t i = 1; i < kSamples; ++i) printf(", %.9g", (double)c[i * 104729 % size]);
    printf("]}\n");
    fflush(stdout);
  }
  return 0;
}
