// Sequences to the arrays that the model takes: ragged, without padding.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/data/packing.h"
#include "src/data/sample.h"

namespace lora_dist {

/// Every sample is a segment: tokens [starts[s], starts[s+1]), which attention keeps apart.
struct Batch {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> targets;    // the label of the sample's next token; -100 at its last token
  std::vector<std::int32_t> positions;  // from 0 in each sample
  std::vector<std::int32_t> samples;    // the sample id, per token
  std::vector<std::int32_t> starts;     // segments + 1
  std::int64_t target_tokens = 0;       // targets other than -100
};

/// The sequences' samples one after another.
Batch make_batch(std::span<const Sequence> sequences, std::span<const Sample> samples);

}  // namespace lora_dist
