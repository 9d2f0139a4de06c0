// Byte-pair encoding with byte fallback over one piece of text. A whole document is one piece for Llama, so merging is
// O(n log n): a queue of candidate merges over a linked list of symbols.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lora_dist {

/// Lets the tables be asked with a string_view.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class T>
using StringMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

struct BpeMerge {
  std::int32_t rank = 0;  // smaller merges first
  std::int32_t id = 0;    // of the merged token
};

struct BpeModel {
  StringMap<std::int32_t> ids;
  std::unordered_map<std::int32_t, std::string> tokens;
  std::unordered_map<std::uint64_t, BpeMerge> merges;  // key: left id * 2^32 + right id
  std::optional<std::int32_t> unk;
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;  // a piece that is a token stays whole
};

constexpr std::uint64_t merge_key(std::int32_t left, std::int32_t right) {
  return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
}

/// Appends the ids of `piece` (UTF-8) to `out`.
void encode_piece(const BpeModel& model, std::string_view piece, std::vector<std::int32_t>& out);

}  // namespace lora_dist
