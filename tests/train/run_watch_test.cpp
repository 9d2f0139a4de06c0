// The time limit of a job, as pure functions.
#include "src/train/run_watch.h"

#include <gtest/gtest.h>

#include <chrono>

namespace lora_dist::run_watch_test {
namespace {

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
}  // namespace lora_dist::run_watch_test
