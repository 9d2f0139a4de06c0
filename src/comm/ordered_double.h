// Maps doubles to integers of the same order, so that a maximum does not depend on the order of the ranks.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "src/comm/communicator.h"

namespace lora_dist {

/// Maps a double's bits to an integer of the same order (IEEE 754 totalOrder). It is its own inverse.
inline std::int64_t flip_negative(std::int64_t bits) {
  return bits >= 0 ? bits : bits ^ std::numeric_limits<std::int64_t>::max();
}

/// NaN maps to the value that wins the reduction: MPI_MAX over doubles would depend on the order of the ranks.
inline std::int64_t to_ordered(double value, Reduce op) {
  if (std::isnan(value)) {
    value = std::copysign(std::numeric_limits<double>::quiet_NaN(), op == Reduce::max ? 1.0 : -1.0);
  }
  return flip_negative(std::bit_cast<std::int64_t>(value));
}

inline double from_ordered(std::int64_t ordered) { return std::bit_cast<double>(flip_negative(ordered)); }

}  // namespace lora_dist
