// Tensor-parallel shards: attention by heads, the MLP by intermediate features, embedding and head by vocabulary (Megatron-LM,
// Shoeybi et al., 2019). Shards may be uneven.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/common/strided_slice.h"
#include "src/base/index_range.h"
#include "src/model/linear.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// One TP rank's shard of a model; with one rank, the whole model.
struct TpShard {
  int rank = 0;
  int ranks = 1;
  IndexRange heads;
  IndexRange kv_heads;  // the kv heads of its heads; replicated if there are fewer kv heads than ranks
  IndexRange intermediate;
  IndexRange vocab;
  std::int64_t whole_vocab = 0;
  std::int64_t widest_vocab = 0;  // the largest vocabulary shard of all ranks
  std::int64_t whole_heads = 0;
  std::int64_t whole_kv_heads = 0;
  bool first_of_kv_heads = true;  // of the ranks that have its kv heads; a sum over all ranks counts them on these

  bool is_whole() const { return ranks == 1; }
};

/// Throws Error(usage) if there are more ranks than heads, intermediate features or ids; given `world` (ranks of the job), the
/// message names the largest possible number.
TpShard tp_shard(const ModelSpec& whole, int rank, int ranks, int world = 0);
/// The vocabulary ids of another TP rank.
IndexRange vocab_shard(const TpShard& shard, int rank);
/// The shard's ModelSpec: fewer heads, a narrower MLP, fewer ids; the same hidden size.
ModelSpec spec_of(const ModelSpec& whole, const TpShard& shard);

/// The shard of a linear's weight as a slice of the whole [out, in].
StridedSlice weight_slice(const ModelSpec& whole, const TpShard& shard, Linear linear);
/// The shard of its bias [out]. A row-parallel linear (cut by columns) adds its bias on rank 0 only; the slice is empty on other
/// ranks.
StridedSlice bias_slice(const ModelSpec& whole, const TpShard& shard, Linear linear);
/// The shards of its factors A [r, in] and B [out, r]. A factor that is not cut is replicated.
StridedSlice a_slice(const ModelSpec& whole, const TpShard& shard, Linear linear, std::int64_t r);
StridedSlice b_slice(const ModelSpec& whole, const TpShard& shard, Linear linear, std::int64_t r);
/// The shard's first input feature; 0 if inputs are not cut.
std::int64_t first_input(const ModelSpec& whole, const TpShard& shard, Linear linear);

}  // namespace lora_dist
