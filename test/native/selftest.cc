// Self test of the native core without Node, built with sanitizers by scripts/native.mjs. It tests known results,
// random commands for every kernel on every instruction set, and several engines that share the thread pool.
//
//   selftest [commands per kernel]
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "commands.h"

namespace simdformer::test {
namespace {

int failures = 0;

void expect(bool condition, const char* what, const char* isa) {
  if (condition) return;
  ++failures;
  std::fprintf(stderr, "FAILED (%s): %s\n", isa, what);
}

uint32_t opcodeOf(const Isa& isa, std::string_view name) {
  for (uint32_t op = 0; op < isa.count; ++op)
    if (name == isa.kernels[op].name) return op;
  std::fprintf(stderr, "no kernel %s\n", std::string(name).c_str());
  std::abort();
}

// Appends a command of this name and these operand words.
void encode(std::vector<uint32_t>& list, const Isa& isa, std::string_view name, std::vector<uint32_t> operands) {
  list.push_back(opcodeOf(isa, name) | static_cast<uint32_t>(operands.size() + 1) << 16);
  list.insert(list.end(), operands.begin(), operands.end());
}

void knownAnswers(const Isa& isa) {
  Engine engine(isa, 3);
  expect(engine.usable() && engine.grow(kHeapBytes), "an engine has memory", isa.name);
  // Copies the row 1 2 3 twice, the second time added to fours. The results are [1 2 3] and [5 6 7], 100 words apart.
  std::vector<uint32_t> list;
  const float row[] = {1, 2, 3};
  uint32_t bits[3];
  memcpy(bits, row, sizeof bits);
  encode(list, isa, "upload", {0, 3, bits[0], bits[1], bits[2]});
  encode(list, isa, "fill", {200, 3, 1, 3, 3, 0x40800000});
  encode(list, isa, "copy", {0, 3, 100, 3, 1, 3, 3, 3, 0});
  encode(list, isa, "copy", {0, 3, 200, 3, 1, 3, 3, 3, 1});
  expect(engine.run(list.data(), list.size()).reason.empty(), "a good list runs", isa.name);
  float copied[3], added[3];
  expect(engine.read(400, copied, sizeof copied) && engine.read(800, added, sizeof added), "its results", isa.name);
  for (int i = 0; i < 3; ++i) expect(copied[i] == row[i] && added[i] == row[i] + 4, "copy copies and adds", isa.name);

  const auto refused = [&](std::vector<uint32_t> bad, int64_t index, std::string_view reason) {
    std::vector<uint32_t> whole = list;
    whole.insert(whole.end(), bad.begin(), bad.end());
    const Failure failure = engine.run(whole.data(), whole.size());
    expect(failure.index == index && failure.reason == reason, "says what is wrong", isa.name);
  };
  const uint32_t fill = opcodeOf(isa, "fill") | 7u << 16;
  refused({0xffff | 7u << 16, 0, 1, 1, 1, 1, 0}, 4, "unknown opcode");
  refused({fill, 0, 1, 1, 1, 1}, 4, "command list ends inside the command");
  refused({opcodeOf(isa, "fill")}, 4, "wrong number of operand words");
  refused({fill, 0, 0, 1, 1, 1, 0}, 4, "a tensor operand is empty");
  refused({fill, 0xffffffff, 0xffffffff, 1, 1, 1, 0}, 4, "a tensor operand reaches outside the heap");
  expect(!engine.read(engine.heap().bytes() - 3, copied, 4), "a read past the end is refused", isa.name);
  expect(!engine.write(~uint64_t{0}, copied, 4), "a write past the end is refused", isa.name);
}

// A 3 × 10 weight in panels of 4 columns, and each access that must restore it.
void weightInPanels() {
  constexpr uint32_t kOffset = 8, kDepth = 3, kCols = 10;
  const Weight weight{0, kDepth, kCols};
  std::vector<float> heap(100), plain;
  for (size_t i = 0; i < heap.size(); ++i) heap[i] = static_cast<float>(i);
  plain = heap;
  const auto element = [](uint32_t k, uint32_t j) { return static_cast<float>(kOffset + k * kCols + j); };
  Panels panels(reinterpret_cast<char*>(heap.data()), 4);
  const auto use = [&](int times) {
    for (; times > 0; --times) panels.use(kOffset, weight);
    panels.layOut();
    return panels.has(kOffset);
  };
  expect(!use(2) && use(1), "three uses lay out a weight", "panels");
  expect(heap[8] == element(0, 0) && heap[12] == element(1, 0) && heap[20] == element(0, 4), "panels of 4", "panels");
  expect(heap[32] == element(0, 8) && heap[34] == element(1, 8) && heap[37] == element(2, 9), "then of 2", "panels");
  panels.touch(0, kOffset);
  panels.touch(kOffset + kDepth * kCols, 20);
  expect(panels.has(kOffset), "neighbouring words do not belong to it", "panels");
  panels.touch(kOffset + kDepth * kCols - 1, 1);
  expect(!panels.has(kOffset) && heap == plain, "a touch restores it", "panels");
  expect(!use(11) && use(1), "it is laid out again after more uses", "panels");
  panels.use(kOffset + kCols, {0, 2, kCols});
  expect(!panels.has(kOffset) && heap == plain, "other rows form another weight", "panels");
  for (int i = 0; i < 11; ++i) panels.use(kOffset, weight);
  panels.touch(kOffset, 1);
  expect(!use(11), "a touch restarts the count", "panels");
  expect(!use(0) && heap == plain, "nothing is laid out too early", "panels");
  expect(use(48) && use(32), "enough uses pay for laying out", "panels");
  panels.touch(kOffset, 1);
  expect(!use(2) && use(1), "three uses are enough again", "panels");
}

// Products give the same bits before and after their weight is laid out in panels, and other commands read the weight
// as it was.
void productsInPanels(const Isa& isa) {
  Engine engine(isa, 2);
  const uint32_t depth = 600, cols = 4 * isa.panelCols + 100, most = 400, a = depth * cols, c = a + most * depth;
  expect(engine.grow(uint64_t{4} * (c + most * cols)), "an engine has memory", isa.name);
  std::vector<float> values(c), weight(size_t{depth} * cols);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 2654435761u % 2048) / 1024 - 1;
  engine.write(0, values.data(), values.size() * 4);
  const auto product = [&](uint32_t rows) {
    std::vector<uint32_t> list;
    encode(list, isa, "matmul",
           {a, rows * depth, 0,    depth * cols, 0, 0, c, rows * cols, 0, 0, 0, 0, rows, cols, depth, 0,
            0, depth,        cols, cols,         1, 0, 0, 0,           0, 0, 0, 0, 0,    0});
    std::vector<float> result(size_t{rows} * cols);
    expect(engine.run(list.data(), list.size()).reason.empty(), "a product runs", isa.name);
    engine.read(uint64_t{4} * c, result.data(), result.size() * 4);
    return result;
  };
  const uint32_t sizes[] = {most, 2, 5, 40, 130, 1};
  std::vector<std::vector<float>> expected;
  for (const uint32_t rows : sizes) {
    engine.write(0, values.data(), 4);
    expected.push_back(product(rows));
  }
  for (int i = 0; i < 4; ++i) product(1);
  for (size_t i = 0; i < expected.size(); ++i) expect(product(sizes[i]) == expected[i], "the same bits", isa.name);
  engine.read(0, weight.data(), weight.size() * 4);
  expect(memcmp(weight.data(), values.data(), weight.size() * 4) == 0, "the weight is as it was", isa.name);
}

// Products of packed weights with 8-bit rows, which must have the same bits on all instruction sets. Every other
// feature and row has the largest possible integers, so that sums with too few bits would be found.
std::vector<uint32_t> integerProducts(const Isa& isa) {
  constexpr uint32_t kDepth = 608, kCols = 40, kRows = 45, kSize = kRows * kDepth;
  constexpr uint32_t kX = kCols * kDepth, kW = kX + kSize, kQ = kW + kCols * kDepth * 2, kY = kQ + 4 * kSize;
  constexpr uint32_t kB = kY + kRows * kCols, kBlocks = kCols * kDepth;
  Engine engine(isa, 2);
  expect(engine.grow(uint64_t{4} * (kB + kBlocks)), "an engine has memory", isa.name);
  std::vector<float> values(kW);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = i / kDepth % 2 == 1 ? 1 : static_cast<float>(i * 2654435761u % 2048) / 1024 - 1;
  engine.write(0, values.data(), values.size() * 4);
  // Blocks of formats that only files have. The mask makes any two bytes a finite float16.
  std::vector<uint8_t> blocks(size_t{4} * kBlocks);
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<uint8_t>(i * 2654435761u >> 24 & 0x7b);
  engine.write(uint64_t{4} * kB, blocks.data(), blocks.size());
  std::vector<uint32_t> all;
  for (uint32_t format = 0; format < isa.formatCount; ++format) {
    if (!isa.formats[format].integers) continue;
    std::vector<uint32_t> pack;
    if (isa.formats[format].made)
      encode(pack, isa, "packFloats", {0, kX, kW, kQ - kW, format, kCols, kDepth, 0, kCols, kDepth, 1, 1});
    else
      encode(pack, isa, "packBlocks", {kB, kBlocks, kW, kQ - kW, format, kCols, kDepth, 0, kCols});
    for (const uint32_t rows : {1u, 2u, 4u, 7u, 14u, kRows}) {
      std::vector<uint32_t> list = pack, y(size_t{rows} * kCols);
      encode(list, isa, "quantizeRows", {kX, kSize, kQ, kY - kQ, rows, kDepth, kDepth, format});
      encode(list, isa, "quantizedLinear", {kX, kSize, kQ,   kY - kQ, kW,     kQ - kW, 0,     0,      kY, kRows * kCols,
                                            0,  0,     rows, kCols,   kDepth, kDepth,  kCols, format, 1,  0});
      expect(engine.run(list.data(), list.size()).reason.empty(), "a product of integers runs", isa.name);
      engine.read(uint64_t{4} * kY, y.data(), y.size() * 4);
      all.insert(all.end(), y.begin(), y.end());
    }
  }
  return all;
}

// Products in bfloat16, of which all instruction sets are to give the same bits. The factors have all exponents, or are
// near the limits of floats. NaNs may differ.
std::vector<uint32_t> bfloat16Products(const Isa& isa) {
  constexpr uint32_t kDepth = 1100, kCols = 70, kMaxRows = 45;
  constexpr uint32_t kB = kMaxRows * kDepth, kC = kB + kDepth * kCols, kCount = kC + kMaxRows * kCols;
  Engine engine(isa, 2);
  expect(engine.grow(uint64_t{4} * kCount), "an engine has memory", isa.name);
  std::vector<uint32_t> all;
  for (const uint32_t exponents : {8u, 60u, 255u}) {
    std::vector<uint32_t> bits(kC);
    for (uint32_t i = 0; i < kC; ++i) {
      const uint32_t mixed = (i + 1) * 2654435761u, exponent = exponents == 255 ? 0 : 127 - exponents;
      bits[i] = (mixed & 0x807fffff) | (exponent + (mixed >> 8) % (2 * exponents + 1) % 256) << 23;
    }
    engine.write(0, bits.data(), bits.size() * 4);
    for (const uint32_t rows : {1u, 17u, kMaxRows}) {
      std::vector<uint32_t> list, y(size_t{rows} * kCols);
      encode(list, isa, "matmulBfloat16", {0,      rows * kDepth,
                                           kB,     kDepth * kCols,
                                           0,      0,
                                           kC,     rows * kCols,
                                           0,      0,
                                           0,      0,
                                           rows,   kCols,
                                           kDepth, 0,
                                           0,      kDepth,
                                           kCols,  kCols,
                                           1,      0,
                                           0,      0,
                                           0,      0,
                                           0,      0,
                                           0,      0});
      expect(engine.run(list.data(), list.size()).reason.empty(), "a product in bfloat16 runs", isa.name);
      engine.read(uint64_t{4} * kC, y.data(), y.size() * 4);
      for (uint32_t& word : y)
        if ((word & 0x7fffffff) > 0x7f800000) word = 0x7fc00000;
      all.insert(all.end(), y.begin(), y.end());
    }
  }
  return all;
}

// Pseudo-random bytes, the same in every run.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  Bytes bytes() {
    for (uint8_t& byte : buffer_) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;
      byte = static_cast<uint8_t>(state_ >> 56);
    }
    return {buffer_, sizeof buffer_};
  }

 private:
  uint64_t state_;
  uint8_t buffer_[256] = {};
};

// Zero rows of the maximum length. Only sizes like this could overflow 32 bits, and smaller heaps do not allow them.
void longestRows(const Isa& isa) {
  Engine engine(isa, 2);
  if (!engine.grow(Heap::kMaxBytes)) return;  // reserves 16 GiB of addresses without touching them
  constexpr uint32_t kAll = 0xffffffff;
  std::vector<uint32_t> list;
  encode(list, isa, "fill", {0, kAll, 0, kAll, kAll, 0});
  encode(list, isa, "copy", {0, kAll, 0, kAll, 0, kAll, kAll, kAll, 0});
  encode(list, isa, "gather", {0, kAll, 0, kAll, 0, kAll, 0, kAll, 1, kAll});
  encode(list, isa, "cacheAppend", {0, kAll, 0, kAll, 0, kAll, 0, 1, kAll, kAll, 0, kAll});
  expect(engine.run(list.data(), list.size()).reason.empty(), "no rows of 2^32 - 1 words", isa.name);
}

// Runs `wanted` random commands for every kernel, on one thread and on three. Both must give the same bits.
void everyKernel(const Isa& isa, int wanted) {
  Engine one(isa, 1), three(isa, 3);
  expect(one.grow(kHeapBytes) && three.grow(kHeapBytes), "an engine has memory", isa.name);
  int total = 0;
  for (uint32_t op = 0; op < isa.count; ++op) {
    const Kernel& kernel = isa.kernels[op];
    Random random(op);
    int ran = 0;
    for (int attempt = 0; ran < wanted && attempt < 5000 * wanted; ++attempt) {
      Bytes bytes = random.bytes();
      const std::vector<uint32_t> words = makeCommand(op, kernel, bytes);
      if (kernel.check(words.data() + 1) != nullptr) continue;
      ++ran;
      Bytes same = bytes;
      fillOperands(one, kernel, words.data() + 1, bytes);
      fillOperands(three, kernel, words.data() + 1, same);
      const Failure first = runAlone(one, kernel, words);
      if (!runAlone(three, kernel, words).reason.empty() || !first.reason.empty()) continue;
      for (const Operand& it : operandsOf(kernel)) {
        if (!it.output) continue;
        const size_t count = words[2 + it.at];
        std::vector<uint32_t> a(count), b(count);
        one.read(uint64_t{4} * words[1 + it.at], a.data(), count * 4);
        three.read(uint64_t{4} * words[1 + it.at], b.data(), count * 4);
        expect(a == b, kernel.name, isa.name);
      }
    }
    if (ran == 0) expect(false, (std::string(kernel.name) + ": no random command passes its check").c_str(), isa.name);
    total += ran;
  }
  std::printf("%s: %d commands of %u kernels\n", isa.name, total, isa.count);
}

// Several engines with different numbers of threads share one pool. Each runs long lists of small dependent commands
// from its own thread.
void sharedPool(const Isa& isa) {
  constexpr uint32_t kRows = 64, kCols = 500, kSteps = 300;
  const auto drive = [&isa](int threads) {
    Engine engine(isa, threads);
    engine.grow(kHeapBytes);
    std::vector<uint32_t> list;
    const uint32_t size = kRows * kCols;
    encode(list, isa, "fill", {0, size, kRows, kCols, kCols, 0x3f800000});
    encode(list, isa, "fill", {size, size, kRows, kCols, kCols, 0});
    for (uint32_t step = 0; step < kSteps; ++step)
      encode(list, isa, "copy", {0, size, size, size, kRows, kCols, kCols, kCols, 1});
    std::vector<float> result(size);
    bool right = true;
    for (int round = 0; round < 5; ++round) {
      right = right && engine.run(list.data(), list.size()).reason.empty();
      right = right && engine.read(uint64_t{4} * size, result.data(), sizeof(float) * size);
      for (const float value : result) right = right && value == kSteps;
    }
    return right;
  };
  bool right[4];
  std::thread drivers[4];
  for (int i = 0; i < 4; ++i) drivers[i] = std::thread([&, i] { right[i] = drive(1 << i); });
  for (std::thread& driver : drivers) driver.join();
  for (const bool each : right) expect(each, "engines on one pool do not disturb one another", isa.name);
}

}  // namespace
}  // namespace simdformer::test

int main(int argc, char** argv) {
  using namespace simdformer::test;
  const int wanted = argc > 1 ? std::atoi(argv[1]) : 100;
  weightInPanels();
  const std::vector<uint32_t> products = integerProducts(**simdformer::availableIsas());
  const std::vector<uint32_t> inBfloat16 = bfloat16Products(**simdformer::availableIsas());
  for (const simdformer::Isa* const* isa = simdformer::availableIsas(); *isa != nullptr; ++isa) {
    knownAnswers(**isa);
    productsInPanels(**isa);
    expect(integerProducts(**isa) == products, "products of integers have the same bits as of others", (*isa)->name);
    expect(bfloat16Products(**isa) == inBfloat16, "products in bfloat16 have the same bits as of others", (*isa)->name);
    everyKernel(**isa, wanted);
    longestRows(**isa);
    sharedPool(**isa);
  }
  std::printf("%s\n", failures == 0 ? "native self test: ok" : "native self test: FAILED");
  return failures == 0 ? 0 : 1;
}
