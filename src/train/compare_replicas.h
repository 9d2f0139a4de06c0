// Compares the ranks' adapters: each rank holds the whole adapter with its moments, and their bits must be equal.
#pragma once

#include <span>
#include <string>

#include "src/train/training_run.h"

namespace lora_dist {

/// Names the ranks whose adapter differs, as part of a sentence: "rank 2 holds another adapter than ranks 0-1, 3".
/// Empty if all agree. Collective; the same on every rank.
std::string replica_difference(const TrainingRun& run);

/// The sentence, from a digest per rank.
std::string difference_text(std::span<const std::uint64_t> digests);

/// A fast digest of floats that differs if any bit does.
std::uint64_t quick_digest(std::span<const float> values, std::uint64_t seed);

}  // namespace lora_dist
