// Memory per rank by kind, and its table.
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
  operator_scratch,  // workspaces of operators and libraries on a GPU, outside the arena
  checkpoint,        // a copy of the state that is being saved while training continues
  // Host memory when computing on a GPU; not in the total:
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

/// True if the kind is host memory when computing on a GPU.
constexpr bool is_on_host(MemoryKind kind) { return kind == MemoryKind::base_on_host || kind == MemoryKind::checkpoint_on_host; }

/// Advice for an out-of-memory message; the end of a sentence that begins with "use".
inline constexpr std::string_view kMemoryAdvice =
    "a smaller train.micro_batch or data.max_length, train.recompute = \"block\", parallel.base_shards = \"all\", or more ranks";

/// One long-lived allocation.
struct MemoryItem {
  MemoryKind kind = MemoryKind::scratch;
  std::string name;  // what it holds
  std::int64_t bytes = 0;
};

/// Bytes per kind, in the order of MemoryKind; the last entry is the sum over the operators' memory. A plain array so that it can
/// be reduced over ranks.
using MemoryByKind = std::array<std::int64_t, kMemoryKinds + 1>;
MemoryByKind sum_by_kind(std::span<const MemoryItem> items);

/// "memory per rank by kind": a row per non-empty kind and a total, with the minimum and maximum over ranks (one column for one
/// rank); host memory of GPU runs comes after the total. `least` and `most` are sum_by_kind reduced by min and max over the
/// ranks.
std::string memory_table(const MemoryByKind& least, const MemoryByKind& most, int ranks);

/// "999 B", "1.50 KiB", "12.3 MiB", "456 GiB": three digits, powers of 1024.
std::string human_bytes(std::int64_t bytes);

/// The peak resident bytes of this process (VmHWM of /proc/self/status); 0 if unknown.
std::int64_t peak_resident_bytes();
/// The same from the text of such a file. For tests.
std::int64_t peak_resident_bytes_from(std::string_view status);

}  // namespace lora_dist
