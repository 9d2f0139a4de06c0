// Medians and running means of steps.
#include "src/report/step_watch.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lora_dist {

SlowestRank slowest_of(std::span<const double> seconds) {
  SlowestRank slowest;
  slowest.rank = static_cast<int>(std::max_element(seconds.begin(), seconds.end()) - seconds.begin());
  std::vector<double> sorted(seconds.begin(), seconds.end());
  std::sort(sorted.begin(), sorted.end());
  const double middle = sorted[(sorted.size() - 1) / 2];  // the faster of two
  slowest.ratio = middle > 0.0 ? sorted.back() / middle : 1.0;
  slowest.seconds = sorted.back();
  return slowest;
}

bool is_spike(LossTrend& trend, double loss) {
  constexpr std::int64_t kSteps = 20;  // no trend before
  constexpr double kNew = 0.1;         // weight of the newest step
  constexpr double kDeviations = 8.0;
  constexpr double kShare = 0.25;  // of the mean: a loss that hardly changes has tiny deviations
  const bool spike =
      trend.steps >= kSteps && loss - trend.mean > std::max(kDeviations * trend.deviation, kShare * std::abs(trend.mean));
  const double weight = std::max(kNew, 1.0 / static_cast<double>(trend.steps + 1));
  // A spike counts as the highest loss that is none, so that it does not become the trend.
  const double taken = spike ? trend.mean + kDeviations * trend.deviation : loss;
  if (trend.steps > 0) {
    trend.deviation += weight * (std::abs(taken - trend.mean) - trend.deviation);
  }
  trend.mean += weight * (taken - trend.mean);
  ++trend.steps;
  return spike;
}

}  // namespace lora_dist
