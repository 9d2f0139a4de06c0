// Normal random values (Box and Muller, 1958) from a counter-based generator.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>

#include "kernels/common/philox.h"

namespace lora_dist {

/// The i-th of four normal values from four random words; they come in pairs.
inline double normal_value(const PhiloxCounter& bits, std::size_t i) {
  const double radius = std::sqrt(-2.0 * std::log1p(-static_cast<double>(uniform_float(bits[i & ~std::size_t{1}]))));
  const double angle = 2.0 * std::numbers::pi * static_cast<double>(uniform_float(bits[i | 1]));
  return radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

/// Fills `values` with standard normal ones. A value depends on (seed, stream, element) alone.
inline void fill_normal(std::uint64_t seed, std::uint32_t stream, std::span<float> values) {
  const PhiloxKey key = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const PhiloxCounter bits =
        philox4x32({static_cast<std::uint32_t>(i / 4), static_cast<std::uint32_t>(i >> 34), 0, stream}, key);
    values[i] = static_cast<float>(normal_value(bits, i % 4));
  }
}

}  // namespace lora_dist
