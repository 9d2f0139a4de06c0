// The merges of a BPE model: a pair of ids to rank and merged id. A flat table, since merging spends most of its time in
// look-ups.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lora_dist {

struct BpeMerge {
  std::int32_t rank = 0;  // lower ranks merge first
  std::int32_t id = 0;    // of the merged token
};

/// Open addressing, at most half full. Ids must not be negative.
class PairTable {
 public:
  void reserve(std::size_t pairs);
  /// The later entry of a duplicate pair counts.
  void insert(std::int32_t left, std::int32_t right, BpeMerge merge);
  /// Asks memory for what insert() will need. There must be room (reserve()).
  void expect(std::int32_t left, std::int32_t right) const { __builtin_prefetch(&slots_[home_of(key_of(left, right))]); }
  /// Null if the two do not merge.
  const BpeMerge* find(std::int32_t left, std::int32_t right) const {
    if (slots_.empty()) {
      return nullptr;
    }
    const Slot& slot = slots_[slot_of(key_of(left, right))];
    return slot.key == kFree ? nullptr : &slot.merge;
  }

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = kFree;
    BpeMerge merge;
  };

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
  }
  std::size_t home_of(std::uint64_t key) const {
    std::uint64_t hash = key * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 32;
    return hash & (slots_.size() - 1);
  }
  /// The slot of the key, or the free slot for it.
  std::size_t slot_of(std::uint64_t key) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = home_of(key);
    while (slots_[at].key != key && slots_[at].key != kFree) {
      at = (at + 1) & mask;
    }
    return at;
  }
  void grow(std::size_t slots);

  std::vector<Slot> slots_;  // size: a power of two
  std::size_t used_ = 0;
};

}  // namespace lora_dist
