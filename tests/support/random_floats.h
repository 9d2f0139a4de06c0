// The same pseudo-random floats in every run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace lora_dist::testing_support {

/// n floats, uniform in [-scale, scale].
inline std::vector<float> random_floats(std::int64_t n, std::uint32_t seed, float scale = 1.0F) {
  std::mt19937 bits(seed);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) {
    value = (static_cast<float>(bits() >> 8) * 0x1p-23F - 1.0F) * scale;
  }
  return values;
}

inline std::vector<double> as_double(const std::vector<float>& values) { return {values.begin(), values.end()}; }

}  // namespace lora_dist::testing_support
