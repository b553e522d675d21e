// Detection of processor features. On x86-64 this file reads cpuid itself, because __builtin_cpu_supports differs by
// compiler and does not check that the operating system saves the wide registers.
#include "isa/cpu.h"

#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(_WIN32)
#include <windows.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__) || defined(__aarch64__)

namespace simdformer {
namespace {

// False if the environment variable is 0. Tests use this to imitate a machine without the feature.
bool isWanted(const char* variable) {
  const char* wanted = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nothing writes to it while addons load
  return wanted == nullptr || *wanted != '0';
}

#if defined(__x86_64__)
size_t largestCache(bool amd) {
  const unsigned leaf = amd ? 0x8000001d : 4;
  size_t largest = 0;
  unsigned a, b, c, d;
  for (unsigned i = 0; __get_cpuid_count(leaf, i, &a, &b, &c, &d) != 0 && (a & 31) != 0; ++i) {
    const size_t ways = (b >> 22) + 1, partitions = (b >> 12 & 1023) + 1, line = (b & 4095) + 1, sets = size_t{c} + 1;
    const size_t bytes = ways * partitions * line * sets;
    if (bytes > largest) largest = bytes;
  }
  return largest;
}

Cpu identify() {
  Cpu cpu;
  unsigned a, b, c, d;
  if (__get_cpuid(0, &a, &b, &c, &d) == 0) return cpu;
  cpu.amd = b == signature_AMD_ebx && c == signature_AMD_ecx && d == signature_AMD_edx;
  cpu.cache = largestCache(cpu.amd);
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return cpu;
  constexpr unsigned kFma = 1u << 12, kF16c = 1u << 29, kOsxsave = 1u << 27, kAvx = 1u << 28;
  if ((c & kOsxsave) == 0) return cpu;
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  constexpr unsigned kYmm = 0x6, kZmm = 0xe6;  // register states that the operating system saves
  const bool fma = (c & (kFma | kF16c)) == (kFma | kF16c) && (c & kAvx) != 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return cpu;
  constexpr unsigned kBmi = 1u << 3, kAvx2 = 1u << 5, kBmi2 = 1u << 8;
  constexpr unsigned kAvx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;  // F DQ CD BW VL
  cpu.avx2 = fma && (low & kYmm) == kYmm && (b & (kAvx2 | kBmi | kBmi2)) == (kAvx2 | kBmi | kBmi2);
  constexpr unsigned kVnni = 1u << 11;
  cpu.avx512 = cpu.avx2 && (low & kZmm) == kZmm && (b & kAvx512) == kAvx512;
  const bool usesVnni = isWanted("SIMDFORMER_VNNI"), usesBf16 = isWanted("SIMDFORMER_BF16");
  constexpr unsigned kAmx = 1u << 25 | 1u << 24 | 1u << 22;  // products of bytes, tiles, products of bfloat16
  constexpr unsigned kTiles = 1u << 17 | 1u << 18;           // registers that the system saves
  cpu.amx = cpu.avx512 && usesBf16 && isWanted("SIMDFORMER_AMX") && (d & kAmx) == kAmx && (low & kTiles) == kTiles;
  cpu.vnni = cpu.avx512 && usesVnni && (c & kVnni) != 0;
  constexpr unsigned kAvxVnni = 1u << 4, kBf16 = 1u << 5;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0) return cpu;
  cpu.avxVnni = cpu.avx2 && usesVnni && (a & kAvxVnni) != 0;
  cpu.bf16 = cpu.avx512 && usesBf16 && (a & kBf16) != 0;
  return cpu;
}
#else
bool hasDotProd() {
#if defined(__APPLE__)
  return true;  // every arm64 Mac has it
#elif defined(_WIN32)
  constexpr DWORD kDotProd = 43;  // PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE, which older headers lack
  return IsProcessorFeaturePresent(kDotProd) != 0;
#elif defined(__linux__)
  constexpr unsigned long kDotProd = 1ul << 20;  // HWCAP_ASIMDDP, which older headers lack
  return (getauxval(AT_HWCAP) & kDotProd) != 0;
#else
  return false;
#endif
}

Cpu identify() {
  Cpu cpu;
  cpu.dotProd = hasDotProd() && isWanted("SIMDFORMER_DOTPROD");
  return cpu;
}
#endif

}  // namespace

const Cpu& cpu() {
  static const Cpu self = identify();
  return self;
}

const size_t kAhead = cpu().amd ? 8192 : 1024, kFarAhead = cpu().amd ? 0 : 4096;

#if defined(__x86_64__)
bool allowsAmx() {
#ifdef __linux__
  // Linux saves AMX registers only for processes that ask, because they make the stack frames of signals larger.
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, which older headers lack
  static const bool allowed = cpu().amx && syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  return allowed;
#else
  return false;
#endif
}
#endif

}  // namespace simdformer

#endif
