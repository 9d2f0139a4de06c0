// Hang reports from tables of heartbeats, and the heartbeat files.
#include "src/comm/hang_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/comm/watched.h"
#include "tests/support/scratch.h"

namespace lora_dist::hang_report_test {
namespace {

using testing::HasSubstr;

SeenRank waiting(int rank, const char* name, std::int64_t number, const std::string& ranks, double seconds) {
  Heartbeat heartbeat;
  heartbeat.rank = rank;
  heartbeat.host = "node7";
  heartbeat.written = 1000.0;
  heartbeat.at = {"training", seconds, 12, seconds, {}};
  heartbeat.at.collective = {name, "adapter_gradient", ranks, 3, number, 64, 12, 1000.0 - seconds, 0.0};
  return {heartbeat, 0.0, false};
}

SeenRank working(int rank, const char* what, double seconds) {
  SeenRank seen = waiting(rank, "all_reduce", 1811, "0-7", seconds);
  seen.heartbeat->at.what = what;
  seen.heartbeat->at.step = 0;
  seen.heartbeat->at.collective.ended = 999.0;
  return seen;
}

TEST(HangReport, NamesWhoNeverCame) {
  std::vector<SeenRank> ranks;
  for (int rank = 0; rank < 8; ++rank) {
    ranks.push_back(rank == 3 ? working(3, "reading and tokenizing data", 41.0) : waiting(rank, "all_reduce", 1812, "0-7", 41.0));
  }
  EXPECT_EQ(who_waits_for_whom(ranks),
            "rank 3 never came: it is in reading and tokenizing data, since 41 s (its last collective: all_reduce #1811 "
            "adapter_gradient); ranks 0-2, 4-7 wait in step 12, all_reduce #1812 adapter_gradient since 41 s");
}

TEST(HangReport, NamesWhoIsSilent) {
  std::vector<SeenRank> ranks = {waiting(0, "all_gather", 5, "0-1", 9.5), working(1, "training", 2.0), {}};
  ranks[1].silent = true;
  ranks[1].silent_seconds = 8.25;
  const std::string text = who_waits_for_whom(ranks);
  EXPECT_THAT(text, HasSubstr("rank 1 on node7 gives no sign of life since 8.2 s (its process is stopped, or its node is gone or "
                              "overloaded); it was last at training, since 2.0 s"));
  EXPECT_THAT(text, HasSubstr("rank 2 never gave a sign of life"));
  EXPECT_THAT(text, HasSubstr("rank 0 waits in step 12, all_gather #5 adapter_gradient of ranks 0-1 since 9.5 s"));
}

TEST(HangReport, TellsALostMessageFromRanksThatDisagree) {
  EXPECT_THAT(who_waits_for_whom(std::vector{waiting(0, "broadcast", 4, "0-1", 3.0), waiting(1, "broadcast", 4, "0-1", 3.0)}),
              HasSubstr("all ranks are in the same collective, so what one of them sent was lost"));
  EXPECT_THAT(who_waits_for_whom(std::vector{waiting(0, "broadcast", 4, "0-1", 3.0), waiting(1, "broadcast", 5, "0-1", 3.0)}),
              HasSubstr("the ranks wait in different collectives; rank 0 waits in step 12, broadcast #4"));
}

TEST(HangReport, IdleIsTheLeastOfAllRanks) {
  std::vector<SeenRank> ranks = {waiting(0, "barrier", 1, "0-2", 30.0), waiting(1, "barrier", 1, "0-2", 20.0), {}};
  EXPECT_DOUBLE_EQ(idle_seconds(ranks), 20.0);
  ranks[1].silent_seconds = 50.0;  // silent: it may have been idle all the time
  EXPECT_DOUBLE_EQ(idle_seconds(ranks), 30.0);
}

TEST(BeatFile, ComesBackAsItWasWritten) {
  const Scratch scratch;
  Heartbeat heartbeat = *waiting(3, "all_reduce", 1812, "0-7", 41.25).heartbeat;
  heartbeat.count = 9;
  heartbeat.job_ends = true;
  ASSERT_TRUE(write_heartbeat(scratch.path(), heartbeat));
  const auto read = read_heartbeat(scratch.path(), 3);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(to_text(*read), to_text(heartbeat));
  EXPECT_EQ(to_text(heartbeat).size(), kHeartbeatBytes);
  for (const char* name : {"all_gather", "all_reduce", "reduce_scatter", "broadcast", "barrier", "split"}) {
    ASSERT_TRUE(write_heartbeat(scratch.path(), *waiting(3, name, 1, "0-7", 1.0).heartbeat));
    EXPECT_EQ(read_heartbeat(scratch.path(), 3).value().at.collective.name, name);
  }
  EXPECT_EQ(read_heartbeat(scratch.path(), 4), std::nullopt);
  EXPECT_FALSE(write_heartbeat(scratch / "nowhere", heartbeat));
}

TEST(BeatFile, OneThatIsBeingWrittenCountsAsUnread) {
  Heartbeat older = *waiting(3, "all_reduce", 1812, "0-7", 41.25).heartbeat;
  older.count = 99;
  Heartbeat newer = older;
  newer.count = 98;
  const std::string text = to_text(newer).substr(0, 20) + to_text(older).substr(20);
  EXPECT_FALSE(heartbeat_from(text).has_value());
  EXPECT_FALSE(heartbeat_from("").has_value());
  EXPECT_FALSE(heartbeat_from("no heartbeat at all").has_value());
}

TEST(RanksText, JoinsNeighbours) {
  EXPECT_EQ(ranks_text(std::vector<std::int64_t>{0, 1, 2, 4, 6, 7}), "0-2, 4, 6-7");
  EXPECT_EQ(ranks_text(std::vector<std::int64_t>{5}), "5");
  EXPECT_EQ(ranks_text({}), "");
  EXPECT_EQ(named_ranks(std::vector<std::int64_t>{3}), "rank 3");
  EXPECT_EQ(named_ranks(std::vector<std::int64_t>{0, 1}), "ranks 0-1");
  EXPECT_EQ(named_ranks(std::vector<std::int64_t>{0, 1, 2, 5, 7, 8}), "ranks 0-2, 5, 7-8");
}

}  // namespace
}  // namespace lora_dist::hang_report_test
