// libFuzzer for Engine::run. For any words, the run must end without accessing memory outside the operands' spans.
//
// The first byte of an input selects the instruction set and the meaning of the other bytes. They are either a list of
// words, or choices that make a plausible command, of which a few words are then changed.
#include <algorithm>
#include <memory>

#include "commands.h"

namespace simdformer::test {
namespace {

struct Target {
  const Isa* isa;
  std::unique_ptr<Engine> engine;
};

const std::vector<Target>& targets() {
  static const std::vector<Target> all = [] {
    std::vector<Target> made;
    for (const Isa* const* isa = availableIsas(); *isa != nullptr; ++isa) {
      made.push_back({*isa, std::make_unique<Engine>(**isa, 1)});
      made.back().engine->grow(kHeapBytes);
    }
    return made;
  }();
  return all;
}

void runWords(Engine& engine, Bytes& bytes) {
  std::vector<uint32_t> words(bytes.left() / 4);
  if (!words.empty()) memcpy(words.data(), bytes.rest(), words.size() * 4);
  engine.run(words.data(), words.size());
}

void runCommand(const Target& target, Bytes& bytes) {
  const uint32_t opcode = bytes.below(target.isa->count);
  const Kernel& kernel = target.isa->kernels[opcode];
  std::vector<uint32_t> words = makeCommand(opcode, kernel, bytes);
  if (kernel.check(words.data() + 1) == nullptr) fillOperands(*target.engine, kernel, words.data() + 1, bytes);
  if (bytes.oneIn(2)) {
    for (uint32_t changes = bytes.below(4); changes > 0; --changes) {
      uint32_t& word = words[1 + bytes.below(static_cast<uint32_t>(std::min<size_t>(words.size() - 1, 256)))];
      switch (bytes.below(4)) {
        case 0:
          word = bytes.word();
          break;
        case 1:
          word = words[1 + bytes.below(kernel.words)];
          break;
        case 2:
          ++word;
          break;
        default:
          --word;
      }
    }
  }
  runAlone(*target.engine, kernel, words);
}

}  // namespace
}  // namespace simdformer::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace simdformer::test;
  Bytes bytes(data, size);
  const uint32_t choice = bytes.byte();
  const Target& target = targets()[choice % targets().size()];
  if (choice < 32)
    runWords(*target.engine, bytes);
  else
    runCommand(target, bytes);
  return 0;
}
