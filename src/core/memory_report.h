// What each rank holds in memory, by kind, and the table that shows it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lora_dist {

enum class MemoryKind : std::uint8_t {
  base_shard,          // this rank's slice of the blocks' (quantized) weights
  windows,             // gathered and dequantized blocks, two at a time
  embedding_and_head,  // with the norms
  adapters,            // factors and their gradients
  optimizer,           // moments
  activations,         // saved for backward
  logits_chunk,        // head and loss, chunk by chunk
  scratch,
  operator_scratch,  // what operators and their libraries keep on a GPU, outside the arena
  checkpoint,        // the state that is being saved, copied so that training can go on
  // In the host's memory, beside a GPU; no part of the total:
  base_on_host,        // this rank's slices, pinned
  checkpoint_on_host,  // the state that is being saved
};
inline constexpr std::size_t kMemoryKinds = 12;

constexpr std::string_view name_of(MemoryKind kind) {
  constexpr std::array<std::string_view, kMemoryKinds> names = {
      "base shard",   "windows", "embedding and head", "adapters",   "optimizer",         "activations",
      "logits chunk", "scratch", "operator scratch",   "checkpoint", "base shard (host)", "checkpoint (host)"};
  return names[static_cast<std::size_t>(kind)];
}

/// Beside a GPU, in the memory of the host.
constexpr bool is_on_host(MemoryKind kind) { return kind == MemoryKind::base_on_host || kind == MemoryKind::checkpoint_on_host; }

/// What a message about full memory tells to change; the end of a sentence that begins with "use".
inline constexpr std::string_view kMemoryAdvice =
    "a smaller train.micro_batch or data.max_length, train.recompute = \"block\", parallel.base_shards = \"all\", or more ranks";

/// One allocation that lasts.
struct MemoryItem {
  MemoryKind kind = MemoryKind::scratch;
  std::string name;  // what it is
  std::int64_t bytes = 0;
};

/// Bytes per kind, in the order of MemoryKind; the last entry is the sum where the operators run. A plain array so that it can be
/// reduced over ranks.
using MemoryByKind = std::array<std::int64_t, kMemoryKinds + 1>;
MemoryByKind sum_by_kind(std::span<const MemoryItem> items);

/// "memory per rank by kind": a row per kind that anyone holds and a total, with the least and the most that a rank holds (one
/// column when there is one rank); what lies on the host beside a GPU comes after the total. `least` and `most` are sum_by_kind
/// reduced by min and max over the ranks.
std::string memory_table(const MemoryByKind& least, const MemoryByKind& most, int ranks);

/// "999 B", "1.50 KiB", "12.3 MiB", "456 GiB": three digits, powers of 1024.
std::string human_bytes(std::int64_t bytes);

/// Most bytes that were ever resident in this process (VmHWM of /proc/self/status); 0 where the system does not say.
std::int64_t peak_resident_bytes();
/// The same from the text of such a file. For tests.
std::int64_t peak_resident_bytes_from(std::string_view status);

}  // namespace lora_dist
