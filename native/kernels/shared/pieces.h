// Pieces of packed sequences, and the slots of their recurrent states.
#pragma once

// Pieces of packed sequences: their lengths, and the slots of the states before and after each piece. Lengths and slots
// are data of the heap, so each use checks them.
struct Pieces {
  const int32_t *lengths, *from, *to;  // null: every row is a piece; there is no state before; no state is saved
  uint64_t count, rows, slots;

  // Calls body(first row, row after the last, slot before or -1, slot after or -1) for each piece, in order. Returns
  // false if lengths do not add up to the rows or a slot is out of range; the remaining pieces are then skipped.
  template <class Body>
  bool each(const Body& body) const {
    uint64_t row = 0;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t length = lengths ? static_cast<uint32_t>(lengths[i]) : 1;
      const int64_t before = from ? from[i] : -1, after = to ? to[i] : -1;
      if (length > rows - row || !isSlot(before) || !isSlot(after)) return false;
      body(row, row + length, before, after);
      row += length;
    }
    return row == rows;
  }

 private:
  bool isSlot(int64_t slot) const { return slot >= -1 && slot < static_cast<int64_t>(slots); }
};
inline constexpr const char* kBadPieces = "lengths do not add up to the rows, or a slot of a state is out of range";
