// The scale of a block or row on the CPU.
#pragma once

#include <cstdint>

namespace lora_dist {

/// The largest magnitude of n values, NaN if one of them is: so that an invalid weight is detected.
float absmax_of(const float* values, std::int64_t n);

}  // namespace lora_dist
