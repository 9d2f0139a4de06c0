// Built breadth first from the sorted strings: a node is a range of strings with the same start.
#include "src/tokenizer/byte_trie.h"

#include <algorithm>

namespace lora_dist {
namespace {

using Strings = std::vector<std::pair<std::string_view, std::int32_t>>;

/// strings[begin, end) have the same first `depth` bytes.
struct Pending {
  std::size_t begin = 0, end = 0, depth = 0;
};

unsigned char byte_at(const Strings& strings, std::size_t i, std::size_t depth) {
  return static_cast<unsigned char>(strings[i].first[depth]);
}

/// The ends of the runs of strings whose next byte is the same.
std::size_t end_of_run(const Strings& strings, const Pending& range, std::size_t from) {
  std::size_t to = from + 1;
  while (to < range.end && byte_at(strings, to, range.depth) == byte_at(strings, from, range.depth)) {
    ++to;
  }
  return to;
}

}  // namespace

ByteTrie::ByteTrie(Strings strings) : ByteTrie() {
  std::erase_if(strings, [](const auto& one) { return one.first.empty(); });
  std::stable_sort(strings.begin(), strings.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Pending> ranges;  // [i]: of nodes_[i]
  const auto add_children = [&](const Pending& range) {
    std::size_t added = 0;
    for (std::size_t from = range.begin; from < range.end; ++added) {
      const std::size_t to = end_of_run(strings, range, from);
      nodes_.push_back({0, 0, byte_at(strings, from, range.depth), -1});
      ranges.push_back({from, to, range.depth + 1});
      from = to;
    }
    return static_cast<std::uint16_t>(added);
  };
  add_children({0, strings.size(), 0});
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    first_[nodes_[i].byte] = i;
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    Pending range = ranges[i];
    for (; range.begin < range.end && strings[range.begin].first.size() == range.depth; ++range.begin) {
      nodes_[i].number = nodes_[i].number >= 0 ? nodes_[i].number : strings[range.begin].second;
    }
    nodes_[i].children = static_cast<std::uint32_t>(nodes_.size());
    const std::uint16_t count = add_children(range);
    nodes_[i].count = count;
  }
}

std::uint32_t ByteTrie::child(const Node& node, unsigned char byte) const {
  const auto begin = nodes_.begin() + static_cast<std::ptrdiff_t>(node.children);
  const auto end = begin + node.count;
  const auto found = std::lower_bound(begin, end, byte, [](const Node& one, unsigned char value) { return one.byte < value; });
  return found != end && found->byte == byte ? static_cast<std::uint32_t>(found - nodes_.begin()) : kNone;
}

}  // namespace lora_dist
