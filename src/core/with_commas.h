// Readable numbers.
#pragma once

#include <cstdint>
#include <string>

namespace lora_dist {

/// 1234567 -> "1,234,567". Not for negative numbers.
std::string with_commas(std::int64_t count);

}  // namespace lora_dist
