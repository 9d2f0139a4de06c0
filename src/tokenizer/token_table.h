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
  enum class Inserted : std::uint8_t { yes, token_known, id_known };

  void reserve(std::size_t tokens, std::size_t bytes);
  /// A known token, or id, keeps what it has.
  Inserted insert(std::string_view token, std::int32_t id) { return insert(token, id, hash_of(token)); }
  /// The same, but a known token leaves its id for the new one.
  Inserted assign(std::string_view token, std::int32_t id);
  /// Names a second id of a known token: text_of() knows it, id_of() does not return it.
  void add_other_id(std::string_view token, std::int32_t id);

  std::optional<std::int32_t> id_of(std::string_view token) const { return id_of(token, hash_of(token)); }
  std::optional<std::string_view> text_of(std::int32_t id) const;
  bool contains(std::string_view token) const { return id_of(token).has_value(); }
  /// The number of different tokens.
  std::size_t size() const { return tokens_.size(); }
  bool empty() const { return tokens_.empty(); }
  std::int32_t largest_id() const { return static_cast<std::int32_t>(by_id_.size()) - 1; }
  /// The tokens in the order of insertion.
  std::string_view token(std::size_t i) const { return view(tokens_[i]); }

  // Many look-ups wait for memory less if their hashes are known ahead: first expect_slot(), some look-ups later expect_text().
  static std::uint32_t hash_of(std::string_view token);
  void expect_slot(std::uint32_t hash) const { __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]); }
  void expect_text(std::uint32_t hash) const {
    __builtin_prefetch(bytes_.data() + slots_[hash & (slots_.size() - 1)].text.begin);
  }
  std::optional<std::int32_t> id_of(std::string_view token, std::uint32_t hash) const;
  Inserted insert(std::string_view token, std::int32_t id, std::uint32_t hash);

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFFU;
  struct Text {
    std::uint32_t begin = 0, length = 0;  // in bytes_
  };
  struct Slot {
    Text text;
    std::uint32_t hash = 0;  // compared before the text
    std::int32_t id = -1;    // -1: free
  };

  std::string_view view(const Text& text) const { return {bytes_.data() + text.begin, text.length}; }
  /// The slot of the token, or the free slot for it. There must be slots.
  std::size_t slot_of(std::string_view token, std::uint32_t hash) const;
  void grow(std::size_t slots);

  std::string bytes_;
  std::vector<Text> tokens_;
  std::vector<Slot> slots_ = std::vector<Slot>(64);  // open addressing, at most half full; size: a power of two
  std::vector<Text> by_id_;                          // begin kNone for a hole
};

}  // namespace lora_dist
