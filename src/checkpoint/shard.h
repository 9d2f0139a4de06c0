// One shard of a checkpoint: a rank's n-th of params, m and v in an HDF5 file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "src/checkpoint/checkpoint.h"

namespace lora_dist {

struct ShardEntry;

/// Elements [begin, end).
struct ShardRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// The range of `count` elements that rank `rank` of `ranks` writes; sizes differ by at most one, and may be zero.
ShardRange shard_range(std::int64_t count, int rank, int ranks);
/// The range that a rank must hold while a checkpoint is written: its shard; on rank 0, which computes the digests of the
/// manifest, everything.
ShardRange saved_range(std::int64_t count, int rank, int ranks);
/// That range of larger buffers.
StateBuffers elements_of(const StateBuffers& buffers, ShardRange range);
std::string shard_name(std::size_t index);  // "shard_00000.h5"

/// Writes `rank`'s shard into `folder` and returns its manifest entry; `elements` covers exactly `range`.
ShardEntry write_shard(const std::filesystem::path& folder, int rank, ShardRange range, const StateBuffers& elements);

/// The buffers that the state has, with the names of their datasets: params, m, v, and those of the method.
struct NamedBuffer {
  const char* name;
  std::span<const float> values;
};
std::vector<NamedBuffer> named_buffers(const StateBuffers& elements);

/// SHA-256 of the named buffers in this order: in memory, and read from a shard's file that holds these `elements`.
std::string content_sha256(const StateBuffers& elements);
std::string content_sha256(const std::filesystem::path& folder, const ShardEntry& shard, const StateBuffers& elements);

/// The defect of a shard's file (missing, size, SHA-256) as a sentence; empty if it matches the manifest.
std::string shard_problem(const std::filesystem::path& folder, const ShardEntry& shard);

/// Reads a shard into its range of the buffers of `state`. Call only if shard_problem() is empty.
void read_shard(const std::filesystem::path& folder, const ShardEntry& shard, TrainingState& state);

}  // namespace lora_dist
