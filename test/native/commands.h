// Makes commands from arbitrary bytes, for the self test and the fuzzer. It knows kernels by their signatures only, so
// a new kernel is covered as soon as it is in the list.
//
// Dimensions are small and close to vector widths, sometimes huge. Each tensor operand gets its own slot of the heap,
// and the shortest span that check() of the kernel accepts. Under AddressSanitizer, everything outside the spans is
// poisoned while the command runs. So a check() that accepts a span that is one word too short is found.
#pragma once
#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "engine.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISON_OUTSIDE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_OUTSIDE 1
#endif
#endif
#ifdef POISON_OUTSIDE
#include <sanitizer/asan_interface.h>
#endif

namespace simdformer::test {

// A source of choices: the given bytes, then zeros.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  const uint8_t* rest() const { return at_; }
  uint8_t byte() { return at_ < end_ ? *at_++ : 0; }
  uint32_t word() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | byte();
    return value;
  }
  // One of 0 … n-1, n ≤ 256.
  uint32_t below(uint32_t n) { return byte() % n; }
  bool oneIn(uint32_t n) { return byte() % n == n - 1; }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

struct Operand {
  enum Kind { kTensor, kInteger, kFloat, kTail } kind;
  bool optional;
  bool output;
  std::string_view name;
  uint32_t at;  // index of its first word among the operands
};

inline std::vector<Operand> operandsOf(const Kernel& kernel) {
  std::vector<Operand> operands;
  uint32_t at = 0;
  for (std::string_view left = kernel.signature; !left.empty();) {
    const std::string_view item = left.substr(0, left.find(' '));
    left.remove_prefix(item.size() < left.size() ? item.size() + 1 : left.size());
    const std::string_view kind = item.substr(0, item.find(':'));
    const bool tensor = kind.starts_with("in") || kind.starts_with("out");
    // Each field of a group counts as one operand.
    for (auto fields = 1 + std::count(item.begin(), item.end(), ','); fields > 0; --fields) {
      operands.push_back({tensor           ? Operand::kTensor
                          : kind == "f32"  ? Operand::kFloat
                          : kind == "tail" ? Operand::kTail
                                           : Operand::kInteger,
                          kind.ends_with('?'), tensor && kind.find("out") != kind.npos, item.substr(kind.size() + 1),
                          at});
      at += tensor ? 2 : kind == "tail" ? 0 : 1;
    }
  }
  return operands;
}

inline constexpr uint32_t kSlotWords = 1 << 15;
inline constexpr uint32_t kSlots = 32;
inline constexpr uint64_t kHeapBytes = uint64_t{4} * kSlotWords * kSlots;

inline uint32_t anyInteger(Bytes& bytes) {
  constexpr uint32_t kEdges[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 64, 65, 130, 500};
  constexpr uint32_t kHuge[] = {0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
  const uint32_t choice = bytes.byte();
  if (choice < 96) return choice % 5;
  if (choice < 250) return kEdges[choice % std::size(kEdges)];
  return kHuge[choice - 250];
}

inline uint32_t anyFloat(Bytes& bytes) {
  constexpr float kEdges[] = {0, 1, -1, 1e-5f, .5f, 1e30f, -1e-30f, __builtin_inff(), __builtin_nanf("")};
  const uint32_t choice = bytes.byte();
  const float value = choice < 64 ? kEdges[choice % std::size(kEdges)] : static_cast<float>(choice) / 256;
  uint32_t word;
  memcpy(&word, &value, sizeof word);
  return word;
}

// Changes integers one by one until check() accepts the operands. check() reports the first condition that fails. A new
// reason is progress. A change that leads back to an earlier reason is undone.
inline void repair(const Kernel& kernel, const std::vector<Operand>& operands, uint32_t* operand, uint64_t seed) {
  std::vector<const char*> seen;
  const char* reason = kernel.check(operand);
  for (int attempt = 0; attempt < 500 && reason != nullptr; ++attempt) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    uint8_t choices[4];
    memcpy(choices, reinterpret_cast<const char*>(&seed) + 4, sizeof choices);
    const Operand& changed = operands[choices[0] % operands.size()];
    if (changed.kind != Operand::kInteger) continue;
    const uint32_t before = operand[changed.at];
    Bytes bytes(choices + 2, 2);
    operand[changed.at] = choices[1] < 128 ? choices[1] % 3 : anyInteger(bytes);
    const char* now = kernel.check(operand);
    if (std::find(seen.begin(), seen.end(), now) != seen.end()) {
      operand[changed.at] = before;
    } else if (now != reason) {
      seen.push_back(reason);
      reason = now;
    }
  }
}

// Makes a command for this kernel: [header, operands…]. check() may still refuse it.
inline std::vector<uint32_t> makeCommand(uint32_t opcode, const Kernel& kernel, Bytes& bytes) {
  const std::vector<Operand> operands = operandsOf(kernel);
  const uint32_t tail = kernel.tail ? bytes.below(40) : 0;
  std::vector<uint32_t> words(1 + kernel.words + tail);
  words[0] = opcode | static_cast<uint32_t>(words.size()) << 16;
  uint32_t* operand = words.data() + 1;
  // Related dimensions are often equal, and strides are at least as long as rows. So half of the integers repeat an
  // earlier one.
  std::vector<uint32_t> integers;
  uint32_t slot = 0;
  for (const Operand& it : operands) {
    if (it.kind == Operand::kTensor) {
      const bool absent = it.optional && bytes.oneIn(3);
      operand[it.at] = slot++ % kSlots * kSlotWords;
      operand[it.at + 1] = absent ? 0 : kSlotWords;
    } else if (it.kind == Operand::kInteger) {
      const bool repeat = !integers.empty() && bytes.oneIn(2);
      integers.push_back(repeat ? integers[bytes.below(static_cast<uint32_t>(integers.size()))] : anyInteger(bytes));
      operand[it.at] = integers.back();
    } else if (it.kind == Operand::kFloat) {
      operand[it.at] = anyFloat(bytes);
    }
  }
  for (uint32_t i = 0; i < tail; ++i) operand[kernel.words + i] = bytes.word();
  if (!bytes.oneIn(4)) repair(kernel, operands, operand, bytes.byte());
  if (kernel.check(operand) != nullptr) return words;
  for (const Operand& it : operands) {
    if (it.kind != Operand::kTensor || operand[it.at + 1] == 0) continue;
    uint32_t refused = 0, accepted = kSlotWords;
    while (accepted - refused > 1) {
      const uint32_t middle = (accepted + refused) / 2;
      operand[it.at + 1] = middle;
      (kernel.check(operand) == nullptr ? accepted : refused) = middle;
    }
    operand[it.at + 1] = accepted;
    if (bytes.oneIn(2))
      operand[it.at] += kSlotWords - accepted;  // the span ends with its slot, so that every alignment occurs
  }
  return words;
}

// Fills the spans of a command: with floats, small integers, or random words.
inline void fillOperands(Engine& engine, const Kernel& kernel, const uint32_t* operand, Bytes& bytes) {
  for (const Operand& it : operandsOf(kernel)) {
    if (it.kind != Operand::kTensor || operand[it.at + 1] == 0) continue;
    std::vector<uint32_t> data(operand[it.at + 1]);
    const uint32_t what = bytes.below(8);
    uint64_t state = bytes.byte();
    for (uint32_t& word : data) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const uint32_t random = static_cast<uint32_t>(state >> 32);
      const float number = static_cast<float>(random) * 0x1p-31f - 1;
      if (what < 3)
        memcpy(&word, &number, sizeof word);
      else if (what < 5)
        word = random >> 30;
      else if (what < 6)
        word = random >> 26;
      else
        word = random;
    }
    engine.write(uint64_t{4} * operand[it.at], data.data(), data.size() * 4);
  }
}

// Runs one command. Only the memory of its operands is accessible meanwhile.
inline Failure runAlone(Engine& engine, [[maybe_unused]] const Kernel& kernel, const std::vector<uint32_t>& words) {
#ifdef POISON_OUTSIDE
  char* heap = engine.heap().data();
  ASAN_POISON_MEMORY_REGION(heap, engine.heap().bytes());
  for (const Operand& it : operandsOf(kernel)) {
    if (it.kind != Operand::kTensor) continue;
    const uint64_t first = words[1 + it.at], count = words[2 + it.at];
    if (first + count <= engine.heap().words()) ASAN_UNPOISON_MEMORY_REGION(heap + 4 * first, 4 * count);
  }
#endif
  const Failure failure = engine.run(words.data(), words.size());
#ifdef POISON_OUTSIDE
  ASAN_UNPOISON_MEMORY_REGION(heap, engine.heap().bytes());
#endif
  return failure;
}

}  // namespace simdformer::test
