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

/// Bytes of the slices of all ranks.
std::int64_t bytes_of_all(const FrozenBase& base, const std::vector<WantedSlice>& wanted) {
  std::int64_t bytes = 0;
  for (const WantedSlice& slice : wanted) {
    bytes += slice.bytes * base.shards;
  }
  return bytes;
}

void place_wanted(FrozenBase& base, const std::vector<WantedSlice>& wanted, std::span<std::byte> memory, int rank) {
  for (const WantedSlice& slice : wanted) {
    const auto each = static_cast<std::size_t>(slice.bytes);
    slice.to->push_back(memory.subspan(static_cast<std::size_t>(rank) * each, each));
    memory = memory.subspan(each * static_cast<std::size_t>(base.shards));
  }
  if (base.spec.tied_head) {
    base.head = base.embedding;
  }
}

}  // namespace

void share_slices(FrozenBase& base, Communicator& shards, Communicator& world) {
  const std::vector<WantedSlice> wanted = wanted_slices(base);
  base.node = share_node_memory(shards, world, static_cast<std::size_t>(bytes_of_all(base, wanted)));
  place_wanted(base, wanted, base.node->bytes(), shards.rank());
}

void lay_out_shared_slices(FrozenBase& base) {
  const std::vector<WantedSlice> wanted = wanted_slices(base);
  Arena nowhere(Stream{}, Arena::Memory::none);
  place_wanted(base, wanted, nowhere.take<std::byte>(MemoryKind::base_shard, "memory of the node", bytes_of_all(base, wanted)),
               0);
}

}  // namespace lora_dist
