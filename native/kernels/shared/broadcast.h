// Nested loops over up to six dimensions, n[0] × … × n[5], for element-wise, reducing and permuting kernels. Each
// operand has a step per dimension: the words from one index to the next, or 0 where it is broadcast.
#pragma once

inline constexpr uint32_t kRank = 6;
CONSTANT("broadcast.rank", kRank)

// n[first] × … × n[last - 1], limited to 2³², which is larger than any span.
inline uint64_t product(const uint32_t* n, uint32_t first, uint32_t last) {
  uint64_t result = 1;
  bool empty = false;
  for (uint32_t d = first; d < last; ++d) {
    empty |= n[d] == 0;
    result = result * n[d] < (uint64_t{1} << 32) ? result * n[d] : uint64_t{1} << 32;
  }
  return empty ? 0 : result;
}

// True if an operand with these steps stays inside its span. An empty dimension counts as one, so that addresses stay
// valid even if nothing is read.
inline bool reaches(Span span, const uint32_t* n, const uint32_t* step) {
  uint64_t last = 0;
  for (uint32_t d = 0; d < kRank; ++d) {
    const uint64_t far = n[d] > 0 ? uint64_t{n[d] - 1} * step[d] : 0;
    if (far >= span.length) return false;
    last += far;
  }
  return last < span.length;
}

// True if no two indices of the first `rank` dimensions have the same address, which an output needs. Each step must
// exceed the reach of all smaller ones, as in every slice or permutation of a contiguous tensor.
inline bool distinct(const uint32_t* n, const uint32_t* step, uint32_t rank) {
  for (uint32_t d = 0; d < rank; ++d) {
    uint64_t reach = 0;
    for (uint32_t e = 0; e < rank; ++e)
      if (n[e] > 1 && e != d && (step[e] < step[d] || (step[e] == step[d] && e < d)))
        reach += uint64_t{n[e] - 1} * step[e];
    if (n[d] > 1 && step[d] <= reach) return false;
  }
  return true;
}

// The positions of kOperands operands during a row-major walk over the dimensions [first, last).
template <size_t kOperands>
class BroadcastWalk {
 public:
  BroadcastWalk(const uint32_t* n, const uint32_t* const (&steps)[kOperands], uint32_t first, uint32_t last,
                uint64_t index)
      : n_(n), first_(first), last_(last) {
    for (size_t k = 0; k < kOperands; ++k) steps_[k] = steps[k];
    for (uint32_t d = last; d-- > first;) {
      const uint32_t size = n[d] > 0 ? n[d] : 1;
      index_[d] = static_cast<uint32_t>(index % size);
      index /= size;
      for (size_t k = 0; k < kOperands; ++k) at[k] += uint64_t{index_[d]} * steps_[k][d];
    }
  }

  void next() {
    for (uint32_t d = last_; d-- > first_;) {
      const bool carry = ++index_[d] == n_[d];
      if (carry) index_[d] = 0;
      for (size_t k = 0; k < kOperands; ++k) at[k] += steps_[k][d] - (carry ? uint64_t{n_[d]} * steps_[k][d] : 0);
      if (!carry) return;
    }
  }

  uint64_t at[kOperands] = {};  // offset of each operand, in words

 private:
  const uint32_t* n_;
  const uint32_t* steps_[kOperands];
  uint32_t first_, last_;
  uint32_t index_[kRank] = {};
};
