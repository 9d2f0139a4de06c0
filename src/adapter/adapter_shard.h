// The part of the adapters that a tensor-parallel rank computes with. The whole flat buffers are on every rank: they are what is
// summed, updated and saved, so that neither an update nor a checkpoint knows the mesh.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "kernels/common/strided_slice.h"
#include "src/adapter/adapter_layout.h"
#include "src/base/tp_shard.h"

namespace lora_dist {

/// One parameter of the part: where it lies in the whole flat buffer, and its first element in the part's.
struct ParameterShard {
  StridedSlice in_whole;
  std::int64_t offset = 0;
};

struct AdapterShard {
  AdapterLayout layout;                    // offsets in the part's flat buffer
  std::vector<ParameterShard> parameters;  // empty: the part is the whole
};

/// A linear cut by outputs keeps LoRA's A whole and cuts B; one cut by inputs cuts A and keeps B whole.
AdapterShard make_adapter_shard(const AdapterLayout& layout, const ModelSpec& whole, const TpShard& part);

/// part_params = the part's parameters. f32 [layout.count] and [part.layout.count], where the operators run.
void take_shard(const AdapterShard& part, std::span<const float> params, std::span<float> part_params, const Stream& stream);
/// sums += the part's; parameters that are whole on every rank are added by each of them: a rank's gradient of those is its share
/// of a sum over the TP ranks.
void add_shard(const AdapterShard& part, std::span<const std::int64_t> part_sums, std::span<std::int64_t> sums,
               const Stream& stream);

}  // namespace lora_dist
