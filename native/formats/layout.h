// The layout of packed weights in the heap, and the contract of a format.
//
// A weight is a matrix of `rows` output features with `cols` inputs each. Features are interleaved in tiles of 16, so
// that the lanes of a vector are features and a product reads a tile from end to end. The inputs of a feature are cut
// into groups of 32. A block is the unit of a file: consecutive inputs of one feature. A record holds the same block of
// all 16 features of a tile.
//
//   weight = [tile] × ⌈rows / 16⌉
//   tile   = [head of the tile] [record] × ⌈cols / inputs of a block⌉
//   record = [head of the record] [group] × kGroups
//
// Features that are missing in the last tile are zeros. So are inputs that are missing in the last record. The header
// of each format describes its heads and groups.
//
// A format is a struct with these members. `lane`, from 0 to 15, is a feature of the tile.
//
//   kName, kGguf               name, and type in GGUF files
//   kBlockBytes                bytes of a block in a file, which has kGroups · 32 inputs of one feature
//   kTileHead                  bytes of the head of a tile
//   kHead                      bytes of the head of a record
//   kGroups, kGroupBytes       groups of a record, and bytes of a group (16 features × 32 inputs)
//   pack(block, lane, record)  copies a block of a file into a record. The caller copies the feature's part of the tile
//                              head, which precedes the blocks of a feature in a file
//   block(record, lane, to)    the inverse of pack()
//   unpack(at, stride, to)     writes a group as floats: input i of feature `lane` becomes to[i·stride + lane]
//
// A format of integers also has these members. A weight is (byte - kOffset) · scale, plus a minimum if kMinima.
//
//   kOffset                    see above
//   kBits                      bits of a byte that may be set: 4 to 8
//   kStoredBits                bits of a stored weight, if not kBits
//   kMinima                    true if there are minima
//   kParts                     number of scales of a group, each for equally many inputs: 1 or 2
//   bytes(group, k, lane)      Vi for kWidth features from `lane` on: inputs 4k to 4k + 3, one byte each
//   scale(at, part, lane)      Vf for kWidth features from `lane` on: their scales in this part of the group
//   minimum(at, part, lane)    Vf likewise: the minima
//
// In K-quants and IQ4_XS, a scale is a float of the record times an integer of the part. These formats have, in place of
// scale() and minimum():
//
//   unit(at, lane)             Vf: the floats of the record
//   factor(at, part, lane)     Vi: the integers, at most 128 in magnitude
//   minimumUnit(at, lane), minimumFactor(at, part, lane)    likewise for the minima. The integers are 0 to 63
#pragma once

inline constexpr size_t kTile = 16, kGroup = 32, kQuads = kGroup / 4;
CONSTANT("format.tile", kTile)
CONSTANT("format.group", kGroup)

// The type of a tensor in GGUF files. The name is null if GGUF does not have the format.
struct GgufType {
  const char* name = nullptr;
  uint32_t number = 0;
};

// The location of a group: its tile, the head of its record, and its first byte.
struct GroupAt {
  const uint8_t *tile, *head, *group;
  size_t number;  // index of the group in its record
};

SIMD_INLINE uint32_t loadWord(const void* p) {
  uint32_t word;
  memcpy(&word, p, sizeof word);
  return word;
}
SIMD_INLINE void storeWord(void* p, uint32_t word) { memcpy(p, &word, sizeof word); }
SIMD_INLINE void copyHalf(uint8_t* to, const uint8_t* from) { memcpy(to, from, 2); }

SIMD_INLINE Vi loadInts(const void* p) {
  Vi v;
  memcpy(&v, p, sizeof v);
  return v;
}

SIMD_INLINE void storeInts(void* p, Vi v) { memcpy(p, &v, sizeof v); }

// Sizes: bytes of a record, inputs of a record, bytes of a tile, and words of a whole weight [rows, cols].
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

// Bytes of one feature in a file: its part of the tile head, then its blocks.
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
