// The two passes of a softmax over one row: its largest element, and a sum of exponentials.
#pragma once

#include <cstdint>

namespace lora_dist {

inline constexpr std::int64_t kSumPiece = 1024;  // summed in float, then added to a double: large vocabularies lose nothing

/// The largest of n elements. NaN is ignored here and reappears in the sum of exponentials.
float row_max(const float* x, std::int64_t n);
/// The sum of exp(x[i] - top).
float sum_of_exp(const float* x, float top, std::int64_t n);

}  // namespace lora_dist
