// Lays out blocks and tables in one shared allocation.
#include "src/base/share_slices.h"

#include <vector>

namespace lora_dist {

namespace {

/// A slice to allocate.
struct WantedSlice {
  std::vector<std::span<std::byte>>* to;
  std::int64_t bytes;
};
std::vector<WantedSlice> wanted_slices(FrozenBase& base) {
  std::vector<WantedSlice> wanted;
  for (const BlockLayout& layout : base.layouts) {
    wanted.push_back({&base.slices, layout.slice_bytes});
  }
  const auto add_table = [&](VocabTable& table) {
    for (std::int64_t i = 0; i < table.chunks; ++i) {
      wanted.push_back({&table.slices, table.slice_bytes(i)});
    }
  };
  if (base.embedding.of_node) {
    add_table(base.embedding);
    if (!base.spec.tied_head) {
      add_table(base.head);
    }
  }
  return wanted;
}

}  // namespace

void share_slices(FrozenBase& base, Communicator& shards, Communicator& world) {
  const std::vector<WantedSlice> wanted = wanted_slices(base);
  std::int64_t bytes = 0;
  for (const WantedSlice& slice : wanted) {
    bytes += slice.bytes * base.shards;
  }
  base.node = share_node_memory(shards, world, static_cast<std::size_t>(bytes));
  std::span<std::byte> left = base.node->bytes();
  for (const WantedSlice& slice : wanted) {
    const auto each = static_cast<std::size_t>(slice.bytes);
    slice.to->push_back(left.subspan(static_cast<std::size_t>(shards.rank()) * each, each));
    left = left.subspan(each * static_cast<std::size_t>(base.shards));
  }
  if (base.spec.tied_head) {
    base.head = base.embedding;
  }
}

}  // namespace lora_dist
