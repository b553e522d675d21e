// Floats as blocks of the formats that are made here: `quantize(values, scale, block)` of a group of one feature, where
// `scale` is that of the whole row, for the format that has one.
#pragma once

inline float largestOf(const float* x, size_t count) {
  float most = 0;
  for (size_t i = 0; i < count; ++i) most = std::fabs(x[i]) > most ? std::fabs(x[i]) : most;
  return most;
}
inline void putHalf(uint8_t* to, float value) {
  const uint16_t half = floatToHalf(value);
  memcpy(to, &half, 2);
}
// NaN, which is no integer, gives `least`.
inline int nearest(float value, int least, int most) {
  const float low = static_cast<float>(least), high = static_cast<float>(most);
  const float held = value > low ? (value < high ? value : high) : low;
  return static_cast<int>(held < 0 ? held - .5f : held + .5f);
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

// Symmetric, to -127 … 127.
inline void quantizeBytes(const float* x, float scale, uint8_t* bytes) {
  const float inverse = scale > 0 ? 1 / scale : 0;
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
    putHalf(block, largestOf(x, kGroup) / 127);
    uint16_t half;
    memcpy(&half, block, 2);
    quantizeBytes(x, halfToFloat(half), block + 2);
  }
};

// As GGUF's makers do it: the value farthest from zero becomes -8.
template <>
struct Quantizer<Q4_0> {
  static constexpr bool kExists = true;
  static void quantize(const float* x, float, uint8_t* block) {
    float most = 0;
    for (size_t i = 0; i < kGroup; ++i) most = std::fabs(x[i]) > std::fabs(most) ? x[i] : most;
    putHalf(block, most / -8);
    const float inverse = most != 0 ? -8 / most : 0;
    for (size_t i = 0; i < 16; ++i) {
      const int low = nearest(x[i] * inverse + 8, 0, 15), high = nearest(x[i + 16] * inverse + 8, 0, 15);
      block[2 + i] = static_cast<uint8_t>(low | high << 4);
    }
  }
};

// The scale and minimum with the least squared error of some ranges a little narrower or wider than the values', each
// refined by least squares on the integers it gives.
template <>
struct Quantizer<Q4_1> {
  static constexpr bool kExists = true;
  static void quantize(const float* x, float, uint8_t* block) {
    float low = x[0], high = x[0];
    for (size_t i = 1; i < kGroup; ++i) low = x[i] < low ? x[i] : low, high = x[i] > high ? x[i] : high;
    float scale = (high - low) / 15, minimum = low;
    if (high > low) {
      float best = errorOf(x, scale, minimum);
      for (int step = -4; step <= 12; ++step) {
        const float tried = (high - low) / (15 + .1f * static_cast<float>(step));
        const Line line = fitted(x, tried, low);
        const float error = errorOf(x, line.scale, line.minimum);
        if (error < best) best = error, scale = line.scale, minimum = line.minimum;
      }
    }
    putHalf(block, scale);
    putHalf(block + 2, minimum);
    uint16_t halvesOf[2];
    memcpy(halvesOf, block, 4);
    const float d = halfToFloat(halvesOf[0]), m = halfToFloat(halvesOf[1]), inverse = d != 0 ? 1 / d : 0;
    for (size_t i = 0; i < 16; ++i) {
      const int first = nearest((x[i] - m) * inverse, 0, 15), second = nearest((x[i + 16] - m) * inverse, 0, 15);
      block[4 + i] = static_cast<uint8_t>(first | second << 4);
    }
  }

 private:
  struct Line {
    float scale, minimum;
  };
  static float errorOf(const float* x, float scale, float minimum) {
    const float d = halfToFloat(floatToHalf(scale)), m = halfToFloat(floatToHalf(minimum));
    const float inverse = d != 0 ? 1 / d : 0;
    float sum = 0;
    for (size_t i = 0; i < kGroup; ++i) {
      const float error = static_cast<float>(nearest((x[i] - m) * inverse, 0, 15)) * d + m - x[i];
      sum += error * error;
    }
    return sum;
  }
  // Least squares of x ≈ scale·q + minimum for the integers q that the given line rounds x to.
  static Line fitted(const float* x, float scale, float minimum) {
    float sumQ = 0, sumQq = 0, sumX = 0, sumQx = 0;
    for (size_t i = 0; i < kGroup; ++i) {
      const float q = static_cast<float>(nearest((x[i] - minimum) / scale, 0, 15));
      sumQ += q, sumQq += q * q, sumX += x[i], sumQx += q * x[i];
    }
    const float n = kGroup, determinant = n * sumQq - sumQ * sumQ;
    if (determinant <= 0) return {scale, minimum};
    return {(n * sumQx - sumQ * sumX) / determinant, (sumQq * sumX - sumQ * sumQx) / determinant};
  }
};
