// Which part of each matrix a tensor-parallel rank has: attention by heads, the MLP by intermediate features, embedding and head
// by vocabulary (Megatron-LM, Shoeybi et al., 2019). Parts may be uneven.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/common/strided_slice.h"
#include "src/base/index_range.h"
#include "src/model/linear.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// One rank's part of a model. Of one rank: all of it.
struct TpShard {
  int rank = 0;
  int ranks = 1;
  IndexRange heads;
  IndexRange kv_heads;  // those that its heads attend to; ranks share one where there are fewer of them than ranks
  IndexRange intermediate;
  IndexRange vocab;
  std::int64_t whole_vocab = 0;
  std::int64_t widest_vocab = 0;  // of any rank's part

  bool is_whole() const { return ranks == 1; }
};

/// Throws Error(usage) where there are more ranks than heads, intermediate features or ids; with `world`, the ranks of the job,
/// it names the largest number that would do.
TpShard tp_shard(const ModelSpec& whole, int rank, int ranks, int world = 0);
/// The ids of another of its ranks.
IndexRange vocab_shard(const TpShard& part, int rank);
/// The model as that rank computes it: fewer heads, a narrower MLP, fewer ids; the same hidden states.
ModelSpec spec_of(const ModelSpec& whole, const TpShard& part);

/// Where a part of a linear's weight [out, in] lies, in elements of the whole.
StridedSlice weight_slice(const ModelSpec& whole, const TpShard& part, Linear linear);
/// Of its bias [out]. A linear cut by columns adds its bias once: on rank 0; no element on the others.
StridedSlice bias_slice(const ModelSpec& whole, const TpShard& part, Linear linear);
/// Of its factors A [r, in] and B [out, r]. A factor that is not cut is whole on every rank.
StridedSlice a_slice(const ModelSpec& whole, const TpShard& part, Linear linear, std::int64_t r);
StridedSlice b_slice(const ModelSpec& whole, const TpShard& part, Linear linear, std::int64_t r);
/// The first input feature that the part sees; 0 where inputs are not cut.
std::int64_t first_input(const ModelSpec& whole, const TpShard& part, Linear linear);

}  // namespace lora_dist
