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

// A tensor operand: its start in the heap, and the number of 4-byte words (float32 or int32) that it may touch. Length
// 0 means "absent", which is allowed only for operands marked optional.
struct Span {
  uint32_t offset;
  uint32_t length;
  bool present() const { return length != 0; }
  // True if `count` words starting at the span's first word lie inside it.
  bool covers(uint64_t count) const { return count <= length; }
  // True if a matrix of `rows` × `cols` whose rows start `stride` words apart lies inside it. A matrix without elements
  // must not be longer than the span either, so that loops over empty rows stay short.
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

// An operand that a product multiplies with: a dense matrix [depth, cols], which panels.h may rearrange.
struct Weight {
  uint32_t at = 0;  // position of its span, in words from the first operand on
  uint32_t depth = 0, cols = 0;
  bool present() const { return depth != 0; }
};

class Context;

// A part of the kernels. The addon has all parts. A WebAssembly module has one, so that a page loads only what it uses.
enum class Part : uint32_t { kCore, kPacked, kTraining, kRare };
inline constexpr const char* kPartNames[] = {"core", "packed", "training", "rare"};

// One kernel of one instruction set, as the engine sees it.
struct Kernel {
  Part part;
  const char* name;
  // Operands in order, separated by blanks: `kind:name`, kind one of in out inout i32 u32 f32 (`in?` = may be absent),
  // and at the end perhaps `tail`: any number of words. Numbers that belong together are one operand with fields:
  // `u32:sizes{rows,cols}`.
  const char* signature;
  uint32_t words;  // number of operand words, without the tail
  bool tail;
  // Returns null, or why these operands cannot run. Null itself if the kernel's part is not loaded. It sees only the operands, never the heap, because it runs before
  // any command does.
  const char* (*check)(const uint32_t* operands);
  // Called by every thread of the team with the same operands.
  void (*run)(const uint32_t* operands, Context& context);
  // Null, or returns the operand that may lie in panels. It sees operands that check() has passed.
  Weight (*weight)(const uint32_t* operands);
};

// A number that kernels and TypeScript share: TypeScript reads it in the manifest.
struct Constant {
  const char* name;  // `<kernel or part>.<what>`
  uint32_t value;
};

// A format of packed weights (formats/layout.h), as the manifest describes it. Sizes are bytes.
struct Format {
  const char* name;
  // GGUF's name and number of the type; a null name if no GGUF file has it.
  const char* ggufName;
  uint32_t ggufType;
  // A block of one output feature in a file: inputs, and bytes. `rowHead` precedes the blocks of a feature.
  uint32_t inputs, blockBytes, rowHead;
  // In the heap: a block of all features of a tile, and the head that precedes the blocks of a tile.
  uint32_t recordBytes, tileHead;
  // Bits of a stored weight.
  uint32_t bits;
  // True if weights are integers with scales: value = (integer - offset)·scale. `scales` counts the scales of 32 inputs;
  // 0 means that all inputs of a feature share one.
  bool integers;
  uint32_t offset, scales;
  // True if packFloats can make it.
  bool made;
};

// One instruction set: its name, kernels, constants and formats, and the columns of a panel of a weight. `kernels` and
// `formats` have the same names in the same order in every set.
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
