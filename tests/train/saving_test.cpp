// The times of a run's checkpoints, for metrics.jsonl, the summary and the margin before the time limit.
#include "src/train/saving.h"

#include <gtest/gtest.h>

namespace lora_dist::saving_test {
namespace {

TEST(Saving, EachIsLoggedOnceAndAllAreInTheSummary) {
  Saving saving;
  EXPECT_FALSE(next_to_log(saving));
  EXPECT_EQ(slowest_save(saving), 0.0);
  EXPECT_EQ(describe(saving),
            "0 saved; training waited 0 s for them, 0 s at most; each was on the disk 0 s after it was begun (the slowest 0 s)");
  saving.committed.push_back({2, 0.25, 1.5});
  EXPECT_EQ(next_to_log(saving).value().step, 2);
  EXPECT_FALSE(next_to_log(saving));
  saving.committed.push_back({4, 0.5, 0.5});
  saving.committed.push_back({6, 0.125, 1.0});
  EXPECT_EQ(next_to_log(saving).value().step, 6);  // the newest of two
  EXPECT_FALSE(next_to_log(saving));
  EXPECT_EQ(slowest_save(saving), 1.5);
  EXPECT_EQ(describe(saving),
            "3 saved; training waited 0.88 s for them, 0.5 s at most; each was on the disk 1 s after it was begun (the slowest "
            "1.5 s)");
}

}  // namespace
}  // namespace lora_dist::saving_test
