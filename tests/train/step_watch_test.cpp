// Slow ranks, spikes of the loss, ranks that hold different adapters, and the wall time, as pure functions.
#include "src/train/step_watch.h"

#include <gtest/gtest.h>

#include <vector>

#include "src/train/replicas.h"
#include "src/train/run_watch.h"

namespace lora_dist {
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
  EXPECT_TRUE(is_spike(trend, 9.0));  // the first one did not become the trend
  EXPECT_FALSE(is_spike(trend, 0.1));
}

TEST(LossTrend, AYoungRunHasNone) {
  LossTrend trend;
  EXPECT_FALSE(is_spike(trend, 2.0));
  EXPECT_FALSE(is_spike(trend, 50.0));
}

TEST(Replicas, TheSmallerGroupIsNamedFirst) {
  EXPECT_EQ(difference_text(std::vector<std::uint64_t>{7, 7, 7}), "");
  EXPECT_EQ(difference_text(std::vector<std::uint64_t>{7, 7, 9, 7}), "rank 2 holds another adapter than ranks 0-1, 3");
  EXPECT_EQ(difference_text(std::vector<std::uint64_t>{7, 9}), "rank 1 holds another adapter than rank 0");
  EXPECT_EQ(difference_text(std::vector<std::uint64_t>{1, 2, 3, 3, 3, 2}),
            "ranks 1, 5 and rank 0 hold another adapter than ranks 2-4");
}

TEST(Replicas, ADigestSeesEveryBitAndPlace) {
  std::vector<float> values(1001, 0.5F);
  const std::uint64_t digest = quick_digest(values, 0);
  for (const std::size_t at : {0, 1, 500, 999, 1000}) {
    std::vector<float> other = values;
    other[at] = 0.50000006F;
    EXPECT_NE(quick_digest(other, 0), digest) << at;
  }
  EXPECT_NE(quick_digest(values, 1), digest);
  EXPECT_NE(quick_digest(std::span(values).first(1000), 0), digest);
  EXPECT_EQ(quick_digest(values, 0), digest);
}

TEST(WallTime, ComesFromSlurm) {
  EXPECT_FALSE(end_of_job(nullptr).has_value());
  for (const char* text : {"", "soon", "-5", "12x", "0", "99999999999999999999"}) {
    EXPECT_FALSE(end_of_job(text).has_value()) << text;
  }
  EXPECT_EQ(end_of_job("1700000000")->time_since_epoch(), std::chrono::seconds(1700000000));
}

TEST(WallTime, AShortJobKeepsHalfOfItsTime) {
  EXPECT_DOUBLE_EQ(margin_within(120.0, 3600.0), 120.0);
  EXPECT_DOUBLE_EQ(margin_within(120.0, 60.0), 30.0);
  EXPECT_DOUBLE_EQ(margin_within(120.0, 0.0), 0.0);
}

}  // namespace
}  // namespace lora_dist
