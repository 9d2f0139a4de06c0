// The model's input in training, evaluation, scoring and generation: concatenated sequences without padding.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/common/not_trained.h"

namespace lora_dist {

/// The id of a token that an adapter puts before a segment.
inline constexpr std::int32_t kVirtualToken = -1;

/// In host memory. A rank without work has a micro-batch without tokens: it joins every gather, so every rank calls the same
/// functions the same number of times.
struct MicroBatch {
  std::vector<std::int32_t> ids;         // [tokens]; kVirtualToken for virtual ones
  std::vector<std::int32_t> targets;     // [tokens]: the next id, kNotTrained for tokens that are not trained
  std::vector<std::int32_t> positions;   // [tokens]: within the sample
  std::vector<std::int32_t> sample_ids;  // [tokens]: names the dropout mask
  std::vector<std::int32_t> cu_seqlens;  // [segments + 1]: tokens attend only within their segment
  std::int64_t virtual_tokens = 0;       // the first tokens of each segment that are virtual

  std::int64_t tokens() const { return static_cast<std::int64_t>(ids.size()); }
  std::int64_t target_tokens() const {
    return std::ranges::count_if(targets, [](std::int32_t target) { return target != kNotTrained; });
  }
};

/// One sequence, or its part from `first_position` on; `virtual_tokens` come before `ids`. targets: as in MicroBatch.
inline MicroBatch one_sequence(std::vector<std::int32_t> ids, std::vector<std::int32_t> targets, std::int64_t first_position = 0,
                               std::int64_t virtual_tokens = 0) {
  MicroBatch batch;
  batch.virtual_tokens = virtual_tokens;
  ids.insert(ids.begin(), static_cast<std::size_t>(virtual_tokens), kVirtualToken);
  targets.insert(targets.begin(), static_cast<std::size_t>(virtual_tokens), kNotTrained);
  batch.positions.resize(ids.size());
  std::iota(batch.positions.begin(), batch.positions.end(), static_cast<std::int32_t>(first_position));
  batch.sample_ids.assign(ids.size(), 0);
  batch.cu_seqlens = {0, static_cast<std::int32_t>(ids.size())};
  batch.ids = std::move(ids);
  batch.targets = std::move(targets);
  return batch;
}

}  // namespace lora_dist
