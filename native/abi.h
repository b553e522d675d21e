// The border between TypeScript and C++: command lists over one heap.
//
// A command is 32-bit words: [opcode | words << 16, operands…], where `words` counts the whole command. A tensor
// operand is a Span (two words), a scalar one word, so the operands are the memory image of the kernel's struct.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace simdformer {

inline constexpr const char* kVersion = "0.1.0";

// The parts of a command's first word.
constexpr uint32_t opcodeOf(uint32_t head) { return head & 0xffff; }
constexpr uint32_t commandWords(uint32_t head) { return head >> 16; }

// A tensor operand: its offset in the heap and its length, both in 4-byte words (float32 or int32). Length 0 means
// "absent", which is allowed only for operands that the signature marks as optional.
struct Span {
  uint32_t offset;
  uint32_t length;
  bool present() const { return length != 0; }
  // True if the first `count` words lie inside the span.
  bool covers(uint64_t count) const { return count <= length; }
  // True if a matrix of `rows` × `cols`, with `stride` words between row starts, lies inside the span. Without
  // elements, neither dimension may exceed the span, so that loops over empty rows stay short.
  bool covers(uint64_t rows, uint64_t cols, uint64_t stride) const {
    if (rows == 0 || cols == 0) return rows <= length && cols <= length;
    return stride >= cols && rows <= 0xffffffffu && cols <= 0xffffffffu && stride <= 0xffffffffu &&
           (rows - 1) * stride + cols <= length;
  }
};

// The reason why a command list was refused or failed; `reason` is empty if it ran.
struct Failure {
  int64_t index = -1;
  const char* name = nullptr;
  std::string reason;
};

// A product's weight operand: a dense matrix [depth, cols], which may be rearranged in panels (panels.h).
struct Weight {
  uint32_t at = 0;  // offset of its span in the command, in words from the first operand
  uint32_t depth = 0, cols = 0;
  bool present() const { return depth != 0; }
};

class Context;

// Parts of the kernel list. The addon contains all parts. Each WebAssembly module contains one, so that a page loads
// only the parts it uses.
enum class Part : uint32_t { kCore, kPacked, kTraining, kRare, kBfloat16 };
inline constexpr const char* kPartNames[] = {"core", "packed", "training", "rare", "bfloat16"};

// One kernel, compiled for one instruction set, as the engine sees it.
struct Kernel {
  Part part;
  const char* name;
  // Operands in order, separated by spaces. An operand is `kind:name`, where kind is in, out, inout (tensors), i32, u32
  // or f32 (scalars). `in?` may be absent. Numbers that belong together are one operand with fields:
  // `u32:sizes{rows,cols}`. `tail` at the end stands for any number of words.
  const char* signature;
  uint32_t words;  // number of operand words, without the tail
  bool tail;
  // Returns null, or the reason why the operands are invalid. It runs before any command of the list, so it sees
  // operands but never the heap. The pointer is null if the kernel's part is not loaded.
  const char* (*check)(const uint32_t* operands);
  // Called by every thread of the team with the same operands.
  void (*run)(const uint32_t* operands, Context& context);
  // Returns the operand that may lie in panels, for operands that check() has accepted. The pointer is null if there is
  // none.
  Weight (*weight)(const uint32_t* operands);
};

// A number that kernels and TypeScript share. TypeScript reads it from the manifest.
struct Constant {
  const char* name;  // `<kernel or part>.<what>`
  uint32_t value;
};

// The manifest's description of a packed weight format (formats/layout.h). Sizes are bytes.
struct Format {
  const char* name;
  // Name and number of the type in GGUF files. The name is null if GGUF does not have the format.
  const char* ggufName;
  uint32_t ggufType;
  // In files: inputs and bytes of a block of one output feature. `rowHead` bytes precede the blocks of a feature.
  uint32_t inputs, blockBytes, rowHead;
  // In the heap: bytes of a record (a block of each feature of a tile), and of the head before the records of a tile.
  uint32_t recordBytes, tileHead;
  // Bits of a stored weight, without scales.
  uint32_t bits;
  // True if weights are integers with scales: value = (integer - offset)·scale. `scales` is the number of scales per 32
  // inputs; 0 means that all inputs of a feature share one. If scales are a float of the record times integers,
  // `factorGroups` is the number of groups of a record, else 0.
  bool integers;
  uint32_t offset, scales, factorGroups;
  // True if the engine can quantize floats to this format (packFloats).
  bool made;
};

// One instruction set: its name, kernels, constants, formats, and the number of columns of a weight's panels. All sets
// list kernels and formats with the same names in the same order.
struct Isa {
  const char* name;
  const Kernel* kernels;
  uint32_t count, panelCols;
  const Constant* constants;
  uint32_t constantCount;
  const Format* formats;
  uint32_t formatCount;
};

}  // namespace simdformer
