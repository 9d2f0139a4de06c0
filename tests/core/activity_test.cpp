// The recorded activity of a process.
#include "src/core/activity.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace lora_dist::activity_test {
namespace {

void pause_a_little() { std::this_thread::sleep_for(std::chrono::milliseconds(30)); }

CollectiveRecord record(int group, std::int64_t number) {
  CollectiveRecord made;
  made.name = "all_reduce";
  made.what = "control";
  made.ranks = "0-1";
  made.group = group;
  made.number = number;
  return made;
}

TEST(Activity, IdleTimeEndsWithABeat) {
  heartbeat();
  pause_a_little();
  EXPECT_GE(activity().idle_seconds, 0.03);
  heartbeat();
  EXPECT_LT(activity().idle_seconds, 0.03);
}

TEST(Activity, WhatIsDoneNests) {
  const AtWork outer("reading");
  note_step(7);
  {
    const AtWork inner("hashing");
    pause_a_little();
    EXPECT_EQ(activity().what, "hashing");
    EXPECT_GE(activity().what_seconds, 0.03);
  }
  EXPECT_EQ(activity().what, "reading");
  EXPECT_EQ(activity().step, 7);
}

TEST(Activity, ACollectiveIsUnderWayUntilItEnds) {
  const double before = seconds_in_collectives();
  {
    const InCollective here(record(1, 5));
    const InCollective within(record(2, 9));  // part of the outer collective
    pause_a_little();
    EXPECT_EQ(activity().collective.number, 5);
    EXPECT_EQ(activity().collective.ended, 0.0);
  }
  EXPECT_EQ(activity().collective.number, 5);
  EXPECT_GT(activity().collective.ended, activity().collective.begun);
  EXPECT_GE(seconds_in_collectives() - before, 0.03);
}

TEST(Activity, WaitingForWhatWasStartedIsTheSameCollective) {
  const std::size_t before = last_collectives().size();
  { const InCollective start(record(3, 1)); }
  { const InCollective wait(record(3, 1)); }
  EXPECT_EQ(last_collectives().size(), before + 1);
  { const InCollective other(record(3, 2)); }
  { const InCollective wait(record(3, 1)); }
  EXPECT_EQ(last_collectives().size(), before + 3);
}

TEST(Activity, TheLastCollectivesAreKept) {
  for (std::int64_t number = 1; number <= 300; ++number) {
    const InCollective here(record(4, number));
  }
  const std::vector<CollectiveRecord> kept = last_collectives();
  ASSERT_EQ(kept.size(), kCollectivesKept);
  EXPECT_EQ(kept.front().number, 300 - 255);
  EXPECT_EQ(kept.back().number, 300);
}

}  // namespace
}  // namespace lora_dist::activity_test
