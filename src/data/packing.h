// Packs samples into sequences (rows of a batch).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/data/sample.h"

namespace lora_dist {

/// Indices into the samples (not their ids) that share a sequence.
using Sequence = std::vector<std::int32_t>;

/// packing: best fit over at most 128 open sequences of max_length tokens, samples taken in their order; otherwise (and for a
/// sample of max_length or more) a sequence of one. Every sample is in exactly one sequence; sequences are in the order of their
/// first sample. Attention does not cross samples of a sequence: see make_batch. With `virtual_tokens` before every sample, a
/// sequence has room for max_length tokens and those of one sample.
std::vector<Sequence> pack_samples(std::span<const Sample> samples, std::int64_t max_length, bool packing,
                                   std::int64_t virtual_tokens = 0);

}  // namespace lora_dist
