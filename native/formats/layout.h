// The layout of packed weights. A weight has `rows` output features of `cols` inputs each. Features are interleaved in
// tiles of 16, so that the lanes of a vector are features, and a product reads a tile from end to end. Inputs are cut into
// groups of 32. A record holds one block, as files have it, of each feature of a tile:
//
//   tile   = [head of the tile] [record] …
//   record = [head] [group] × kGroups
//
// Zeros fill the last tile, and the last record if blocks do not fill the inputs. Each format's header describes its
// records.
//
// A format is a struct:
//   kName, kGguf                     its name, and the type of GGUF files
//   kBlockBytes                      bytes of a file's block, of kGroups · 32 inputs of one feature
//   kTileHead                        bytes of a tile's head
//   kHead, kGroups, kGroupBytes      bytes of a record's head, groups of a record, bytes of a group
//   pack(block, lane, record)        puts a file's block into a record. The part of a tile's head that belongs to a
//                                    feature precedes its blocks; the caller copies it
//   block(record, lane, to)          the inverse of pack
//   unpack(at, stride, to)           a group as floats: input i < 32 of a lane becomes to[i·stride + lane]
//
// A format of integers also has:
//   kOffset                          a weight is (byte - kOffset)·scale (+ minimum)
//   kBits                            bits of a byte that may be set: 4 to 8
//   kStoredBits                      bits of a stored weight, if they differ from kBits
//   kMinima                          true if there are minima
//   kParts                           scales of a group, each for equally many inputs: 1 or 2
//   bytes(group, k, lane)            inputs 4k to 4k + 3, in 32 bits of each lane, for kWidth features from `lane` on
//   scale(at, part, lane)            scales of kWidth features
//   minimum(at, part, lane)          minima of kWidth features
#pragma once

inline constexpr size_t kTile = 16, kGroup = 32, kQuads = kGroup / 4;
CONSTANT("format.tile", kTile)
CONSTANT("format.group", kGroup)

// A type of GGUF files; the name is null if none has the format.
struct GgufType {
  const char* name = nullptr;
  uint32_t number = 0;
};

// The place of a group of a tile.
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
