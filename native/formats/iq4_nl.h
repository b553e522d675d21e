// IQ4_NL: t[q]·d in blocks of 32 inputs. q has 4 bits and selects one of 16 unevenly spaced integers; d is a float16.
#pragma once

// The integers t, plus 128.
inline constexpr uint8_t kUnevenLevels[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};

struct IQ4_NL : LookedUp<IQ4_NL, kUnevenLevels, 2> {
  static constexpr const char* kName = "iq4_nl";
  static constexpr GgufType kGguf{"IQ4_NL", 20};
  static constexpr int kOffset = 128, kBits = 8;

  SIMD_INLINE static Vf scale(const GroupAt& at, size_t, size_t lane) {
    return halves(at.group + kNibbleBytes + 2 * lane);
  }
};
