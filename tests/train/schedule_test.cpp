// Learning rates compared with those of transformers (tests/golden/make_schedules.py).
#include "src/train/schedule.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace lora_dist::schedule_test {
namespace {

TEST(Schedule, EqualsTransformers) {
  std::ifstream file(std::string(LORA_DIST_SOURCE_DIR) + "/tests/golden/schedules.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_EQ(cases.size(), 9U);
  for (const auto& one : cases) {
    const Schedule kind = value_of_word(kSchedules, one["kind"].get<std::string>()).value();
    const std::int64_t total = one["total_steps"];
    const std::int64_t warmup = warmup_steps(one["warmup_ratio"], total);
    EXPECT_EQ(warmup, one["warmup_steps"].get<std::int64_t>());
    std::int64_t step = 0;
    for (const double expected : one["learning_rates"]) {
      // The same operations in the same order in double; only cos() may come from another library and differ in the last bit.
      EXPECT_DOUBLE_EQ(learning_rate(step, total, warmup, one["base"], kind), expected) << one["kind"] << " step " << step;
      ++step;
    }
    EXPECT_EQ(step, total + 2);
  }
}

TEST(Schedule, WarmupStepsAreRoundedUp) {
  EXPECT_EQ(warmup_steps(0.0, 100), 0);
  EXPECT_EQ(warmup_steps(0.03, 100), 3);
  EXPECT_EQ(warmup_steps(0.03, 101), 4);
  EXPECT_EQ(warmup_steps(0.03, 0), 0);
}

TEST(Schedule, UnknownNameIsRefused) { EXPECT_EQ(value_of_word(kSchedules, "exponential"), std::nullopt); }

TEST(Schedule, IdleStepsAreThoseOfTheWarmupOfShortRuns) {
  EXPECT_EQ(idle_steps(1, warmup_steps(0.03, 1), 2e-4, Schedule::cosine), 1);
  EXPECT_EQ(idle_steps(3, warmup_steps(0.03, 3), 2e-4, Schedule::cosine), 1);
  EXPECT_EQ(idle_steps(3, 0, 2e-4, Schedule::cosine), 0);
  EXPECT_EQ(idle_steps(2, 2, 2e-4, Schedule::constant), 1);  // the second step has half the rate
  EXPECT_EQ(idle_steps(200, 0, 2e-4, Schedule::linear), 1);  // the last step, with a two-hundredth
  EXPECT_EQ(idle_steps(3, 0, 0.0, Schedule::constant), 0);   // a rate of 0 cannot fall
}

}  // namespace
}  // namespace lora_dist::schedule_test
