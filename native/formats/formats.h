// The formats of packed weights: a header each, and a line in this list.
#pragma once
#include "formats/half.h"
#include "formats/integers.h"
#include "formats/layout.h"
#include "formats/nibbles.h"
//
#include "formats/float16.h"
#include "formats/int8.h"
#include "formats/q4_0.h"
#include "formats/q4_1.h"
#include "formats/q4_k.h"
#include "formats/q5_0.h"
#include "formats/q5_1.h"
#include "formats/q5_k.h"
#include "formats/q6_k.h"
#include "formats/q8_0.h"

// clang-format off
#define EACH_FORMAT(FORMAT) \
  FORMAT(Float16, 0) FORMAT(BFloat16, 1) FORMAT(Int8, 2) FORMAT(Q8_0, 3) FORMAT(Q4_0, 4) FORMAT(Q4_1, 5) \
  FORMAT(Q5_0, 6) FORMAT(Q5_1, 7) FORMAT(Q4_K, 8) FORMAT(Q5_K, 9) FORMAT(Q6_K, 10)
// clang-format on

enum PackedFormat : uint32_t {
#define FORMAT(Type, number) k##Type = number,
  EACH_FORMAT(FORMAT)
#undef FORMAT
      kFormats
};

// Calls body(Format()) of the format of this number, so that loops are compiled once for each and branch once.
template <class Body>
SIMD_INLINE auto withFormat(uint32_t format, const Body& body) {
  switch (format) {
#define FORMAT(Type, number) \
  case number:               \
    return body(Type());
    EACH_FORMAT(FORMAT)
#undef FORMAT
    default:
      return decltype(body(Q8_0()))();
  }
}

CONSTANT("format.float16", kFloat16)
CONSTANT("format.bfloat16", kBFloat16)
CONSTANT("format.int8", kInt8)
CONSTANT("format.q8_0", kQ8_0)
CONSTANT("format.q4_0", kQ4_0)
CONSTANT("format.q4_1", kQ4_1)
CONSTANT("format.q5_0", kQ5_0)
CONSTANT("format.q5_1", kQ5_1)
CONSTANT("format.q4_k", kQ4_K)
CONSTANT("format.q5_k", kQ5_K)
CONSTANT("format.q6_k", kQ6_K)

// The longest row of inputs.
inline constexpr uint32_t kMostInputs = 1 << 19;
CONSTANT("format.mostInputs", kMostInputs)

// Null, or why `span` is no weight of this size.
inline const char* checkPacked(Span span, uint32_t format, uint64_t rows, uint64_t cols) {
  REQUIRE(format < kFormats, "unknown format");
  REQUIRE(cols <= kMostInputs, "cols is larger than format.mostInputs");
  const uint64_t words = withFormat(format, [&](auto f) { return packedWords<decltype(f)>(rows, cols); });
  REQUIRE(span.covers(words), "the packed weight is smaller than its rows and cols say");
  return nullptr;
}
