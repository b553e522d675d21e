// The list of packed weight formats, and their description for the manifest. A new format needs its header and an entry
// here.
#pragma once
#include "formats/half.h"
#include "formats/integers.h"
#include "formats/layout.h"
#include "formats/nibbles.h"
//
#include "formats/float16.h"
#include "formats/int8.h"
#include "formats/mxfp4.h"
#include "formats/nvfp4.h"
#include "formats/q1_0.h"
#include "formats/q2_0.h"
#include "formats/q2_k.h"
#include "formats/q3_k.h"
#include "formats/q4_0.h"
#include "formats/q4_1.h"
#include "formats/q4_k.h"
#include "formats/q5_0.h"
#include "formats/q5_1.h"
#include "formats/q5_k.h"
#include "formats/q6_k.h"
#include "formats/q8_0.h"
#include "formats/tq2_0.h"
#include "formats/uint4.h"
//
#include "formats/iq4_nl.h"
#include "formats/iq4_xs.h"
//
#include "formats/quantize.h"

// clang-format off
#define EACH_FORMAT(FORMAT) \
  FORMAT(Float16) FORMAT(BFloat16) FORMAT(Int8) FORMAT(Q8_0) FORMAT(Q4_0) FORMAT(Q4_1) FORMAT(Q5_0) FORMAT(Q5_1) \
  FORMAT(Q4_K) FORMAT(Q5_K) FORMAT(Q6_K) FORMAT(IQ4_NL) FORMAT(IQ4_XS) FORMAT(Q2_K) FORMAT(Q3_K) FORMAT(MXFP4) \
  FORMAT(NVFP4) FORMAT(TQ2_0) FORMAT(Q1_0) FORMAT(Q2_0) FORMAT(Uint4)
// clang-format on

// The number of a format in commands is its position in the list.
enum PackedFormat : uint32_t {
#define FORMAT(Type) k##Type,
  EACH_FORMAT(FORMAT)
#undef FORMAT
      kFormatCount
};

// Calls body(Format()) for this number, so that the loops in `body` are compiled for each format and branch once.
// Returns a default value for an unknown number.
template <class Body>
SIMD_INLINE auto withFormat(uint32_t format, const Body& body) {
  switch (format) {
#define FORMAT(Type) \
  case k##Type:      \
    return body(Type());
    EACH_FORMAT(FORMAT)
#undef FORMAT
    default:
      return decltype(body(Q8_0()))();
  }
}

template <class Type>
constexpr uint32_t storedBits() {
  if constexpr (requires { Type::kStoredBits; }) return Type::kStoredBits;
  return kindOf<Type>().bits > 0 ? static_cast<uint32_t>(kindOf<Type>().bits) : 16;
}

// The manifest's description of a format.
template <class Type>
constexpr Format describeFormat() {
  constexpr IntegerKind kKind = kindOf<Type>();
  return {.name = Type::kName,
          .ggufName = Type::kGguf.name,
          .ggufType = Type::kGguf.number,
          .inputs = kRecordInputs<Type>,
          .blockBytes = Type::kBlockBytes,
          .rowHead = kRowHead<Type>,
          .recordBytes = kRecordBytes<Type>,
          .tileHead = Type::kTileHead,
          .bits = storedBits<Type>(),
          .integers = kKind.bits > 0,
          .offset = static_cast<uint32_t>(kKind.offset),
          .scales = static_cast<uint32_t>(kKind.parts),
          .factorGroups = static_cast<uint32_t>(kKind.factorGroups),
          .made = Quantizer<Type>::kExists};
}

inline constexpr std::array<Format, kFormatCount> kFormats{
#define FORMAT(Type) describeFormat<Type>(),
    EACH_FORMAT(FORMAT)
#undef FORMAT
};

// The maximum number of inputs of a feature.
inline constexpr uint32_t kMaxInputs = 1 << 19;
CONSTANT("format.maxInputs", kMaxInputs)

// Returns null if `span` holds a weight [rows, cols] of this format, otherwise the reason why not.
inline const char* checkPacked(Span span, uint32_t format, uint64_t rows, uint64_t cols) {
  REQUIRE(format < kFormatCount, "unknown format");
  REQUIRE(cols <= kMaxInputs, "cols is larger than format.maxInputs");
  const uint64_t words = withFormat(format, [&](auto f) { return packedWords<decltype(f)>(rows, cols); });
  REQUIRE(span.covers(words), "the packed weight is too small for its rows and cols");
  return nullptr;
}
