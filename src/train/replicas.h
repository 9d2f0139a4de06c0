// Every rank keeps the whole adapter with its moments, and all are to be the same bits.
#pragma once

#include <span>
#include <string>

#include "src/train/training_run.h"

namespace lora_dist {

/// Which ranks hold something else than the others, as a part of a sentence: "rank 2 holds another adapter than ranks 0-1, 3".
/// Empty where all agree. Collective; the same on every rank.
std::string replica_difference(const TrainingRun& run);

/// The sentence from a digest of each rank.
std::string difference_text(std::span<const std::uint64_t> digests);

/// A digest of floats: quick, and different wherever a bit is.
std::uint64_t quick_digest(std::span<const float> values, std::uint64_t seed);

}  // namespace lora_dist
