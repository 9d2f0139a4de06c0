// Splits off validation samples.
#pragma once

#include <cstdint>
#include <vector>

#include "src/data/sample.h"

namespace lora_dist {

/// Moves round(share * samples) samples (never all of them) out of `samples`, those with the smallest random numbers from (seed,
/// id). Both keep file order. A sample's number does not depend on other samples.
std::vector<Sample> take_validation(std::vector<Sample>& samples, double share, std::uint64_t seed);

}  // namespace lora_dist
