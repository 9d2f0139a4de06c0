// The TP shard of the adapters that a rank computes with. Every rank also holds the whole flat buffers: sums, updates and
// checkpoints use those, so they do not depend on the mesh.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "kernels/common/strided_slice.h"
#include "src/adapter/adapter_layout.h"
#include "src/base/tp_shard.h"

namespace lora_dist {

/// One parameter of the shard: its slice of the whole flat buffer, and its offset in the shard's.
struct ParameterShard {
  StridedSlice in_whole;
  std::int64_t offset = 0;
};

struct AdapterShard {
  AdapterLayout layout;                     // offsets in the shard's flat buffer
  std::vector<ParameterShard> parameters;   // empty: the shard is the whole
  std::vector<ParameterShard> frozen = {};  // of the flat buffer of frozen tensors, once each
};

/// A column-parallel linear (cut by outputs) replicates LoRA's A and shards B; a row-parallel one (cut by inputs) shards A and
/// replicates B.
AdapterShard make_adapter_shard(const AdapterLayout& layout, const ModelSpec& whole, const TpShard& shard);

/// Copies the shard's parameters to shard_params. f32 [layout.count] and [shard.layout.count], in the operators' memory.
void take_shard(const AdapterShard& shard, std::span<const float> params, std::span<float> shard_params, const Stream& stream);
/// Adds the shard's sums to `sums`. Every rank adds replicated parameters: its gradient of them is one addend of the sum over TP
/// ranks.
void add_shard(const AdapterShard& shard, std::span<const std::int64_t> shard_sums, std::span<std::int64_t> sums,
               const Stream& stream);

}  // namespace lora_dist
