// A vocabulary: tokens to ids and back. One block of text and flat tables instead of a map's nodes: a quarter of a million tokens
// are read in a few hundredths of a second.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

/// Ids must not be negative, and be limited (there is an entry for each id up to the largest).
class TokenTable {
 public:
  void reserve(std::size_t tokens, std::size_t bytes);
  /// False if the token or the id is known, which then keeps what it has.
  bool insert(std::string_view token, std::int32_t id);
  /// The same, but a known token leaves its id for the new one. False if the id is another token's.
  bool assign(std::string_view token, std::int32_t id);
  /// Names a second id of a known token: text_of() knows it, id_of() does not return it.
  void add_other_id(std::string_view token, std::int32_t id);

  std::optional<std::int32_t> id_of(std::string_view token) const;
  std::optional<std::string_view> text_of(std::int32_t id) const;
  bool contains(std::string_view token) const { return id_of(token).has_value(); }
  /// The number of different tokens.
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  std::int32_t largest_id() const { return static_cast<std::int32_t>(by_id_.size()) - 1; }
  /// The tokens in the order of insertion.
  std::string_view token(std::size_t i) const { return std::string_view(bytes_).substr(entries_[i].begin, entries_[i].length); }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFFU;
  struct Entry {
    std::uint32_t begin = 0, length = 0;  // in bytes_
    std::int32_t id = 0;
  };
  struct Slot {
    std::uint32_t entry = kNone;
    std::uint32_t hash = 0;  // compared before the text
  };

  static std::uint32_t hash_of(std::string_view token);
  /// The slot of the token, or the free slot for it. There must be slots.
  std::size_t slot_of(std::string_view token, std::uint32_t hash) const;
  /// The entry's index, or kNone.
  std::uint32_t find(std::string_view token) const;
  void append(std::string_view token, std::int32_t id);
  void set_id(std::int32_t id, std::uint32_t entry);
  void grow(std::size_t slots);

  std::string bytes_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;           // open addressing, at most half full; size: a power of two
  std::vector<std::uint32_t> by_id_;  // entries; kNone for a hole
};

}  // namespace lora_dist
