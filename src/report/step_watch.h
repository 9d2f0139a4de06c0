// What is worth a word about a step: a rank that is slower than the others, a loss that is out of line.
#pragma once

#include <cstdint>
#include <span>

namespace lora_dist {

/// The rank whose own work took longest, and how many times as long as the middle one's.
struct SlowestRank {
  int rank = 0;
  double ratio = 1.0;
  double seconds = 0.0;  // its own
};
/// `seconds`: of each rank, at least one; waits for others left out.
SlowestRank slowest_of(std::span<const double> seconds);

/// How the losses of the steps before went; older ones count less and less.
struct LossTrend {
  double mean = 0.0;
  double deviation = 0.0;  // mean distance from it
  std::int64_t steps = 0;
};
/// Takes in the next step's loss; true where it lies far above the trend.
bool is_spike(LossTrend& trend, double loss);

}  // namespace lora_dist
