// A set of byte strings with a number each, for finding all of them that begin a text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace lora_dist {

class ByteTrie {
 public:
  ByteTrie() { first_.fill(kNone); }
  /// Of equal strings the first one's number counts; an empty string is left out. Numbers must not be negative.
  explicit ByteTrie(std::vector<std::pair<std::string_view, std::int32_t>> strings);

  bool empty() const { return nodes_.empty(); }
  bool has_first_byte(char byte) const { return first_[static_cast<unsigned char>(byte)] != kNone; }

  /// Calls found(length, number) for each string that begins `text`, the shortest first.
  template <class Found>
  void for_each_prefix(std::string_view text, const Found& found) const {
    std::uint32_t at = text.empty() ? kNone : first_[static_cast<unsigned char>(text[0])];
    for (std::size_t length = 1; at != kNone; ++length) {
      if (nodes_[at].number >= 0) {
        found(length, nodes_[at].number);
      }
      at = length < text.size() ? child(nodes_[at], static_cast<unsigned char>(text[length])) : kNone;
    }
  }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFFU;
  struct Node {
    std::uint32_t children = 0;  // the first; they stand one behind the other, by their bytes
    std::uint16_t count = 0;
    std::uint8_t byte = 0;
    std::int32_t number = -1;  // of the string that ends here
  };

  std::uint32_t child(const Node& node, unsigned char byte) const;

  std::vector<Node> nodes_;
  std::array<std::uint32_t, 256> first_;  // nodes of the first byte
};

}  // namespace lora_dist
