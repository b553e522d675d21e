// Quantizers of the formats that can be made here. quantize(x, scale, block) makes the block of one feature's 32 inputs;
// `scale` is that of the whole row, for formats that have one. Blocks have the bits of ggml's reference
// (quantize_row_*_ref of ggml-quants.c). A quantizer may have refine(x, block) too, which searches for a smaller error.
//
// Compilers contract a product and a sum to a fused one on some instruction sets. alone() prevents that, so that all
// sets make the same blocks.
#pragma once

inline float alone(float product) {
#if defined(__x86_64__)
  asm("" : "+x"(product));
#elif defined(__aarch64__)
  asm("" : "+w"(product));
#endif
  return product;
}

inline float largestOf(const float* x, size_t count) {
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

// NaN gives `least`.
inline float clamped(float value, int least, int most) {
  const float low = static_cast<float>(least), high = static_cast<float>(most);
  return value > low ? (value < high ? value : high) : low;
}
// Rounded to nearest; halves are rounded away from 0, as roundf does.
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

// Symmetric: -127 to 127.
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
    const float scale = largestOf(x, kGroup) / 127;
    putHalf(block, scale);
    quantizeBytes(x, scale, block + 2);
  }
};

// The bytes of 32 integers of 4 bits: levelOf(i) for inputs i < 16 in the low halves, the other 16 in the high halves.
template <class LevelOf>
void putLevels(uint8_t* bytes, const LevelOf& levelOf) {
  for (size_t i = 0; i < 16; ++i) bytes[i] = static_cast<uint8_t>(levelOf(i) | levelOf(i + 16) << 4);
}
// ggml rounds by truncation after it has added a half.
inline int levelAt(float value) { return static_cast<int>(clamped(value, 0, 15)); }

// The value farthest from zero becomes -8.
template <>
struct Quantizer<Q4_0> {
  static constexpr bool kExists = true;
  static void quantize(const float* x, float, uint8_t* block) {
    const float farthest = largestOf(x, kGroup);
    float most = 0;
    for (size_t i = kGroup; i-- > 0;) most = std::fabs(x[i]) == farthest ? x[i] : most;  // the first of equals
    const float scale = most / -8, inverse = inverseOf(scale);
    putHalf(block, scale);
    putLevels(block + 2, [&](size_t i) { return levelAt(alone(x[i] * inverse) + 8.5f); });
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
    putLevels(block + 4, [&](size_t i) { return levelAt(alone((x[i] - range.low) * inverse) + .5f); });
  }

  // The scale and minimum with the least squared error of some ranges a little narrower or wider than the values', each
  // refined by least squares on the integers it gives.
  static void refine(const float* x, uint8_t* block) {
    const auto [low, high] = rangeOf(x);
    Line best{(high - low) / 15, low};
    if (high > low) {
      float least = errorOf(x, best);
      for (int step = -4; step <= 12; ++step) {
        const Line line = fitted(x, {(high - low) / (15 + alone(.1f * static_cast<float>(step))), low});
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
      const float error = alone(level * d) + m - x[i];
      sum += alone(error * error);
    }
    return sum;
  }
  // Least squares of x ≈ scale·q + minimum for the integers q that the given line rounds x to.
  static Line fitted(const float* x, const Line& line) {
    float sumQ = 0, sumQq = 0, sumX = 0, sumQx = 0;
    for (size_t i = 0; i < kGroup; ++i) {
      const float q = static_cast<float>(nearest((x[i] - line.minimum) / line.scale, 0, 15));
      sumQ += q, sumQq += alone(q * q), sumX += x[i], sumQx += alone(q * x[i]);
    }
    const float n = kGroup, determinant = alone(n * sumQq) - alone(sumQ * sumQ);
    if (determinant <= 0) return line;
    return {(alone(n * sumQx) - alone(sumQ * sumX)) / determinant,
            (alone(sumQq * sumX) - alone(sumQ * sumQx)) / determinant};
  }
};
