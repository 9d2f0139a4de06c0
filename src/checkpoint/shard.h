// One shard of a checkpoint: a rank's n-th of params, m and v in an HDF5 file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "src/checkpoint/checkpoint.h"

namespace lora_dist {

struct ShardEntry;

/// Elements [begin, end).
struct ShardRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// The part of `count` elements that rank `rank` of `ranks` writes; sizes differ by at most one, and may be zero.
ShardRange shard_range(std::int64_t count, int rank, int ranks);
/// What that rank must hold while a checkpoint is written: rank 0, whose manifest tells digests of the whole, everything; others
/// their shard.
ShardRange saved_range(std::int64_t count, int rank, int ranks);
/// Those elements of buffers that hold more.
StateBuffers elements_of(const StateBuffers& buffers, ShardRange range);
std::string shard_name(std::size_t index);  // "shard_00000.h5"

/// Writes `rank`'s shard into `folder` and returns its entry for the manifest; `elements`: those of `range` alone.
ShardEntry write_shard(const std::filesystem::path& folder, int rank, ShardRange range, const StateBuffers& elements);

/// SHA-256 of params, m and v, one after the other: in memory, and as a shard's file gives them back.
std::string content_sha256(const StateBuffers& elements);
std::string content_sha256(const std::filesystem::path& folder, const ShardEntry& shard);

/// What is wrong with the file of a shard (missing, size, SHA-256), as a sentence; empty when it is as the manifest says.
std::string shard_problem(const std::filesystem::path& folder, const ShardEntry& shard);

/// Reads a shard into its place in the whole buffers of `state`. Only after shard_problem() found none.
void read_shard(const std::filesystem::path& folder, const ShardEntry& shard, TrainingState& state);

}  // namespace lora_dist
