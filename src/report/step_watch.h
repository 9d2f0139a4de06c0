// Detects unusual steps: a rank slower than the others, a loss spike.
#pragma once

#include <cstdint>
#include <span>

namespace lora_dist {

/// The rank whose own work took longest, and the ratio to the median rank.
struct SlowestRank {
  int rank = 0;
  double ratio = 1.0;
  double seconds = 0.0;  // its own
};
/// `seconds`: of each rank, at least one rank; without waits for others.
SlowestRank slowest_of(std::span<const double> seconds);

/// Running mean of the losses; older steps weigh less and less.
struct LossTrend {
  double mean = 0.0;
  double deviation = 0.0;  // mean distance from the mean
  std::int64_t steps = 0;
};
/// Adds the next step's loss; true if it lies far above the trend.
bool is_spike(LossTrend& trend, double loss);

}  // namespace lora_dist
