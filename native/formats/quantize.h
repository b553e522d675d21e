// Quantizers: they make blocks from floats, with the bits of ggml's reference (quantize_row_*_ref of ggml-quants.c).
//
//   quantize(x, scale, block)  makes the block of 32 inputs x of one feature. `scale` is that of the whole feature, for
//                              formats with one scale per feature
//   refine(x, block)           optional: searches for a block with a smaller error
//
// On some instruction sets, compilers contract a product and a sum to a fused multiply-add. unfused() prevents that, so
// that all sets make the same blocks.
#pragma once

inline float unfused(float product) {
#if defined(__x86_64__)
  asm("" : "+x"(product));
#elif defined(__aarch64__)
  asm("" : "+w"(product));
#endif
  return product;
}

inline float largestMagnitude(const float* x, size_t count) {
  float most = 0;
  for (size_t i = 0; i < count; ++i) most = std::fabs(x[i]) > most ? std::fabs(x[i]) : most;
  return most;
}
inline void putHalf(uint8_t* to, float value) {
  const uint16_t half = floatToHalf(value);
  memcpy(to, &half, 2);
}
inline float getHalf(const uint8_t* from) {
  uint16_t half;
  memcpy(&half, from, 2);
  return halfToFloat(half);
}
inline float inverseOf(float scale) { return scale != 0 ? 1 / scale : 0; }

// Limits value to [least, most]. NaN becomes `least`.
inline float clamped(float value, int least, int most) {
  const float low = static_cast<float>(least), high = static_cast<float>(most);
  return value > low ? (value < high ? value : high) : low;
}
// Rounds to the nearest integer in [least, most]. Halves are rounded away from 0, as by roundf.
inline int nearest(float value, int least, int most) {
  const float held = clamped(value, least, most);
  const int whole = static_cast<int>(held);
  const float rest = held - static_cast<float>(whole);
  return whole + (rest >= .5f) - (rest <= -.5f);
}

template <class Format>
struct Quantizer {
  static constexpr bool kExists = false;
};

template <>
struct Quantizer<Float16> {
  static constexpr bool kExists = true;
  static void quantize(const float* x, float, uint8_t* block) {
    for (size_t i = 0; i < kGroup; ++i) putHalf(block + 2 * i, x[i]);
  }
};
template <>
struct Quantizer<BFloat16> {
  static constexpr bool kExists = true;
  static void quantize(const float* x, float, uint8_t* block) {
    for (size_t i = 0; i < kGroup; ++i) {
      const uint16_t half = floatToBrain(x[i]);
      memcpy(block + 2 * i, &half, 2);
    }
  }
};

// Rounds 32 inputs to integers from -127 to 127.
inline void quantizeBytes(const float* x, float scale, uint8_t* bytes) {
  const float inverse = inverseOf(scale);
  for (size_t i = 0; i < kGroup; ++i) bytes[i] = static_cast<uint8_t>(nearest(x[i] * inverse, -127, 127));
}
template <>
struct Quantizer<Int8> {
  static constexpr bool kExists = true;
  static void quantize(const float* x, float scale, uint8_t* block) { quantizeBytes(x, scale, block); }
};
template <>
struct Quantizer<Q8_0> {
  static constexpr bool kExists = true;
  static void quantize(const float* x, float, uint8_t* block) {
    const float scale = largestMagnitude(x, kGroup) / 127;
    putHalf(block, scale);
    quantizeBytes(x, scale, block + 2);
  }
};

// Writes 32 integers of 4 bits: levelOf(i) for inputs 0 to 15 into the low halves, for inputs 16 to 31 into the high
// halves.
template <class LevelOf>
void putLevels(uint8_t* bytes, const LevelOf& levelOf) {
  for (size_t i = 0; i < 16; ++i) bytes[i] = static_cast<uint8_t>(levelOf(i) | levelOf(i + 16) << 4);
}
// Truncates, as ggml does after adding one half.
inline int levelAt(float value) { return static_cast<int>(clamped(value, 0, 15)); }

// The input with the largest magnitude becomes -8.
template <>
struct Quantizer<Q4_0> {
  static constexpr bool kExists = true;
  static void quantize(const float* x, float, uint8_t* block) {
    const float farthest = largestMagnitude(x, kGroup);
    float most = 0;
    for (size_t i = kGroup; i-- > 0;)
      most = std::fabs(x[i]) == farthest ? x[i] : most;  // the first of equal magnitudes
    const float scale = most / -8, inverse = inverseOf(scale);
    putHalf(block, scale);
    putLevels(block + 2, [&](size_t i) { return levelAt(unfused(x[i] * inverse) + 8.5f); });
  }
};

template <>
struct Quantizer<Q4_1> {
  static constexpr bool kExists = true;
  static void quantize(const float* x, float, uint8_t* block) {
    const Range range = rangeOf(x);
    const float scale = (range.high - range.low) / 15, inverse = inverseOf(scale);
    putHalf(block, scale);
    putHalf(block + 2, range.low);
    putLevels(block + 4, [&](size_t i) { return levelAt(unfused((x[i] - range.low) * inverse) + .5f); });
  }

  // Tries ranges a little narrower or wider than that of the inputs. Least squares on the integers of each range give a
  // scale and a minimum. The pair with the smallest squared error is stored.
  static void refine(const float* x, uint8_t* block) {
    const auto [low, high] = rangeOf(x);
    Line best{(high - low) / 15, low};
    if (high > low) {
      float least = errorOf(x, best);
      for (int step = -4; step <= 12; ++step) {
        const Line line = fitted(x, {(high - low) / (15 + unfused(.1f * static_cast<float>(step))), low});
        const float error = errorOf(x, line);
        if (error < least) least = error, best = line;
      }
    }
    putHalf(block, best.scale);
    putHalf(block + 2, best.minimum);
    const Line stored{getHalf(block), getHalf(block + 2)};
    const float inverse = inverseOf(stored.scale);
    putLevels(block + 4, [&](size_t i) { return nearest((x[i] - stored.minimum) * inverse, 0, 15); });
  }

 private:
  struct Range {
    float low, high;
  };
  static Range rangeOf(const float* x) {
    Range range{x[0], x[0]};
    for (size_t i = 1; i < kGroup; ++i) {
      if (x[i] < range.low) range.low = x[i];
      if (x[i] > range.high) range.high = x[i];
    }
    return range;
  }

  struct Line {
    float scale, minimum;
  };
  static float errorOf(const float* x, const Line& line) {
    const float d = halfToFloat(floatToHalf(line.scale)), m = halfToFloat(floatToHalf(line.minimum));
    const float inverse = inverseOf(d);
    float sum = 0;
    for (size_t i = 0; i < kGroup; ++i) {
      const float level = static_cast<float>(nearest((x[i] - m) * inverse, 0, 15));
      const float error = unfused(level * d) + m - x[i];
      sum += unfused(error * error);
    }
    return sum;
  }
  // The least-squares fit x ≈ scale·q + minimum, where q are the integers to which `line` rounds x.
  static Line fitted(const float* x, const Line& line) {
    float sumQ = 0, sumQq = 0, sumX = 0, sumQx = 0;
    for (size_t i = 0; i < kGroup; ++i) {
      const float q = static_cast<float>(nearest((x[i] - line.minimum) / line.scale, 0, 15));
      sumQ += q, sumQq += unfused(q * q), sumX += x[i], sumQx += unfused(q * x[i]);
    }
    const float n = kGroup, determinant = unfused(n * sumQq) - unfused(sumQ * sumQ);
    if (determinant <= 0) return line;
    return {(unfused(n * sumQx) - unfused(sumQ * sumX)) / determinant,
            (unfused(sumQq * sumX) - unfused(sumQ * sumQx)) / determinant};
  }
};
