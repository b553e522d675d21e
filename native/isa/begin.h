// Includes that must precede a target pragma. Inline functions of the standard library would otherwise be compiled with
// wide instructions, and the linker could keep these copies for the whole program.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

#include "abi.h"
#include "context.h"
#include "isa/cpu.h"
#include "isa/tuning.h"

namespace simdformer {

// True if this translation unit compiles the kernels of `part`. A WebAssembly module has one part, SIMDFORMER_PART; the
// addon has all.
constexpr bool compiles([[maybe_unused]] Part part) {
#ifdef SIMDFORMER_PART
  return part == Part::SIMDFORMER_PART;
#else
  return true;
#endif
}

}  // namespace simdformer
