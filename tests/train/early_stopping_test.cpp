// The best evaluation, and the end of waiting for a better one.
#include "src/train/early_stopping.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lora_dist::early_stopping_test {
namespace {

TEST(EarlyStopping, KeepsTheBestAndCountsSinceIt) {
  EarlyStopping state;
  EXPECT_TRUE(observe(state, 0, 3.0));
  EXPECT_TRUE(observe(state, 10, 2.5));
  EXPECT_FALSE(observe(state, 20, 2.5));  // equal is not better: keeps the earlier adapter
  EXPECT_FALSE(observe(state, 30, 2.75));
  EXPECT_EQ(state, (EarlyStopping{.best = 2.5, .best_step = 10, .evaluations_since = 2}));
  EXPECT_TRUE(observe(state, 40, 2.25));
  EXPECT_EQ(state, (EarlyStopping{.best = 2.25, .best_step = 40, .evaluations_since = 0}));
}

TEST(EarlyStopping, StopsAfterPatienceEvaluationsWithoutGain) {
  EarlyStopping state;
  observe(state, 10, 1.0);
  observe(state, 20, 1.5);
  EXPECT_FALSE(should_stop(state, 2));
  observe(state, 30, 1.5);
  EXPECT_TRUE(should_stop(state, 2));
  EXPECT_FALSE(should_stop(state, 3));
  EXPECT_FALSE(should_stop(state, 0));  // off
}

TEST(EarlyStopping, NanIsNeverBest) {
  EarlyStopping state;
  EXPECT_FALSE(observe(state, 10, std::nan("")));
  EXPECT_EQ(state.best_step, -1);
  EXPECT_TRUE(observe(state, 20, 9.0));
  EXPECT_FALSE(observe(state, 30, std::nan("")));
  EXPECT_EQ(state.best, 9.0);
}

}  // namespace
}  // namespace lora_dist::early_stopping_test
