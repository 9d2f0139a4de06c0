// Slow ranks and loss spikes, as pure functions.
#include "src/report/step_watch.h"

#include <gtest/gtest.h>

#include <vector>

namespace lora_dist::step_watch_test {
namespace {

TEST(SlowestRank, IsMeasuredByTheMiddleOne) {
  const SlowestRank slowest = slowest_of(std::vector{1.0, 1.1, 3.3, 0.9, 1.0});
  EXPECT_EQ(slowest.rank, 2);
  EXPECT_DOUBLE_EQ(slowest.ratio, 3.3);
  EXPECT_DOUBLE_EQ(slowest_of(std::vector{2.0, 5.0}).ratio, 2.5);
  EXPECT_DOUBLE_EQ(slowest_of(std::vector{2.0}).ratio, 1.0);
  EXPECT_DOUBLE_EQ(slowest_of(std::vector{0.0, 0.0}).ratio, 1.0);
}

TEST(LossTrend, ASpikeLiesFarAboveIt) {
  LossTrend trend;
  for (int step = 0; step < 60; ++step) {
    EXPECT_FALSE(is_spike(trend, 3.0 - 0.01 * step + (step % 2 == 0 ? 0.05 : -0.05))) << step;
  }
  EXPECT_TRUE(is_spike(trend, 9.0));
  EXPECT_FALSE(is_spike(trend, 2.4));
  EXPECT_TRUE(is_spike(trend, 9.0));  // the first spike did not become the trend
  EXPECT_FALSE(is_spike(trend, 0.1));
}

TEST(LossTrend, AYoungRunHasNone) {
  LossTrend trend;
  EXPECT_FALSE(is_spike(trend, 2.0));
  EXPECT_FALSE(is_spike(trend, 50.0));
}

}  // namespace
}  // namespace lora_dist::step_watch_test
