// Fills the table; look-ups are inline in the header.
#include "src/tokenizer/pair_table.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace lora_dist {

void PairTable::insert(std::int32_t left, std::int32_t right, BpeMerge merge) {
  if (2 * (used_ + 1) > slots_.size()) {
    grow(std::max<std::size_t>(64, slots_.size() * 2));
  }
  Slot& slot = slots_[slot_of(key_of(left, right))];
  used_ += slot.key == kFree ? 1 : 0;
  slot = {key_of(left, right), merge};
}

void PairTable::reserve(std::size_t pairs) {
  if (slots_.size() < 2 * pairs) {
    grow(std::bit_ceil(2 * pairs));
  }
}

void PairTable::grow(std::size_t slots) {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots));
  for (const Slot& slot : old) {
    if (slot.key != kFree) {
      slots_[slot_of(slot.key)] = slot;
    }
  }
}

}  // namespace lora_dist
