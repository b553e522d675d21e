// How packed weights lie in memory. A weight has `rows` output features of `cols` inputs each. Features are interleaved
// in tiles of 16, so that the lanes of a vector are features: whoever multiplies reads a tile from end to end. Inputs
// are cut into groups of 32. What a format keeps of a group of a tile, its record, is described in its own header.
//
//   tile   = [head of the tile] [record of blocks] …         zeros fill the last tile, and the last group of own
//   formats record = [head] [group] × kGroups                        of as many inputs as a block of the format in
//   files
//
// A format is a struct:
//   kName, kBlockBytes                as GGUF has it, of kGroups · 32 inputs of one feature
//   kTileHead, kHead, kGroups, kGroupBytes
//   pack(block, lane, record)         puts a block of a file where it belongs; what a tile's head has of a
//                                     feature comes before its blocks, and is put there by whoever packs
//   block(record, lane, to)           the block that was put there
//   unpack(at, stride, to)            a group as floats: to[i·stride + lane] for inputs i < 32
// Those of integers have besides
//   kOffset                           a weight is (byte - kOffset)·scale (+ minimum)
//   kBits                             of a byte that may be set: 4 to 8
//   kMinima, kParts                   whether there are minima; how many scales a group has, each for as many inputs
//   bytes(group, k, lane)             of the inputs 4k … 4k + 3, in a lane of 32 bits, for kWidth features from `lane`
//   scale(at, part, lane), minimum(at, lane)
#pragma once

inline constexpr size_t kTile = 16, kGroup = 32, kQuads = kGroup / 4;
CONSTANT("format.tile", kTile)
CONSTANT("format.group", kGroup)

// A type of GGUF files; the name is null if none has the format.
struct GgufType {
  const char* name = nullptr;
  uint32_t number = 0;
};

// Where a group of a tile lies.
struct GroupAt {
  const uint8_t *tile, *head, *group;
  size_t number;  // in its record
};

SIMD_INLINE uint32_t loadWord(const void* p) {
  uint32_t word;
  memcpy(&word, p, sizeof word);
  return word;
}
SIMD_INLINE void storeWord(void* p, uint32_t word) { memcpy(p, &word, sizeof word); }
SIMD_INLINE void copyHalf(uint8_t* to, const uint8_t* from) { memcpy(to, from, 2); }

SIMD_INLINE Vi loadInts(const uint8_t* p) {
  Vi v;
  memcpy(&v, p, sizeof v);
  return v;
}

SIMD_INLINE void storeInts(void* p, Vi v) { memcpy(p, &v, sizeof v); }

// Bytes of a tile of weights, and of a whole weight in words.
template <class Format>
inline constexpr size_t kRecordBytes = Format::kHead + Format::kGroups * Format::kGroupBytes;
template <class Format>
inline constexpr size_t kRecordInputs = Format::kGroups * kGroup;
template <class Format>
constexpr uint64_t tileBytes(uint64_t cols) {
  return Format::kTileHead + divideUp(cols, kRecordInputs<Format>) * kRecordBytes<Format>;
}
template <class Format>
constexpr uint64_t packedWords(uint64_t rows, uint64_t cols) {
  return divideUp(rows, kTile) * tileBytes<Format>(cols) / 4;
}

// Bytes of one feature's blocks in a file, with what the head of a tile has of it before them.
template <class Format>
inline constexpr size_t kRowHead = Format::kTileHead / kTile;
template <class Format>
constexpr uint64_t blockRowBytes(uint64_t cols) {
  return kRowHead<Format> + divideUp(cols, kRecordInputs<Format>) * Format::kBlockBytes;
}

// Group g of the tile that begins at `tile`.
template <class Format>
SIMD_INLINE GroupAt groupAt(const uint8_t* tile, size_t g) {
  const size_t number = g % Format::kGroups;
  const uint8_t* head = tile + Format::kTileHead + g / Format::kGroups * kRecordBytes<Format>;
  return {tile, head, head + Format::kHead + number * Format::kGroupBytes, number};
}
