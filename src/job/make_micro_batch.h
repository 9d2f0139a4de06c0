// Samples of the data as micro-batches of the model.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/data/packing.h"
#include "src/data/sample.h"
#include "src/transformer/micro_batch.h"

namespace lora_dist {

/// The sequences' samples one after another, each a segment. A target is the label of the sample's next token; its last token has
/// none.
MicroBatch make_micro_batch(std::span<const Sequence> sequences, std::span<const Sample> samples);

/// How many micro-batches of `size` sequences there are; the last one may be shorter.
std::int64_t count_micro_batches(std::span<const Sequence> sequences, std::int64_t size);
/// The sequences of one of them; none past the last one.
std::span<const Sequence> sequences_of(std::span<const Sequence> sequences, std::int64_t micro_batch, std::int64_t size);

}  // namespace lora_dist
