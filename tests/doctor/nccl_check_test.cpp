// Verdicts on NCCL, and the pairs of each round.
#include "src/doctor/nccl_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/doctor/verdicts.h"

namespace lora_dist::nccl_check_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

NcclFacts working(int ranks) {
  NcclFacts facts;
  facts.devices = true;
  facts.own = true;
  facts.ranks = ranks;
  facts.version = "2.28.3";
  facts.pairs = ranks * (ranks - 1) / 2;
  return facts;
}

/// The pairs of a round are disjoint; all pairs occur.
std::set<std::pair<int, int>> met(int ranks, int most) {
  std::set<std::pair<int, int>> pairs;
  for (const PairRound& round : pair_rounds(ranks, most)) {
    std::set<int> busy;
    for (const auto& [one, other] : round) {
      EXPECT_TRUE(0 <= one && one < other && other < ranks) << one << " " << other;
      EXPECT_TRUE(busy.insert(one).second && busy.insert(other).second) << "twice in a round: " << one << " or " << other;
      EXPECT_TRUE(pairs.emplace(one, other).second) << one << " and " << other << " met before";
    }
  }
  return pairs;
}

TEST(NcclCheck, EveryPairMeetsOnce) {
  for (const int ranks : {1, 2, 3, 4, 7, 8, 16, 33}) {
    EXPECT_EQ(met(ranks, 64).size(), static_cast<std::size_t>(ranks * (ranks - 1) / 2)) << ranks;
  }
  EXPECT_EQ(pair_rounds(8, 64).size(), 7U);
}

TEST(NcclCheck, ManyRanksMeetAtPowersOfTwo) {
  const auto pairs = met(100, 64);
  std::size_t expected = 0;
  for (int step = 1; step < 100; step *= 2) {
    for (int rank = 0; rank + step < 100; ++rank, ++expected) {
      EXPECT_TRUE(pairs.contains({rank, rank + step})) << rank << " " << step;
    }
  }
  EXPECT_EQ(pairs.size(), expected);
}

TEST(NcclCheck, Works) {
  EXPECT_THAT(verdicts(judge_nccl(working(4))), ElementsAre("ok: 2.28.3, 6 pairs of ranks exchanged"));
  EXPECT_THAT(verdicts(judge_nccl(working(2))), ElementsAre("ok: 2.28.3, 1 pair of ranks exchanged"));
  EXPECT_THAT(verdicts(judge_nccl(working(1))), ElementsAre("ok: 2.28.3; one rank, nothing to exchange"));
}

TEST(NcclCheck, PairsThatDoNotReachEachOther) {
  NcclFacts facts = working(4);
  facts.failures = {{0, 3, "unhandled system error"}, {1, 3, "unhandled system error"}};
  const std::vector<Finding> findings = judge_nccl(facts);
  EXPECT_THAT(verdicts(findings),
              ElementsAre(AllOf(HasSubstr("broken: between ranks 0 and 3: unhandled system error"), HasSubstr("NCCL_DEBUG=INFO")),
                          HasSubstr("between ranks 1 and 3")));
  EXPECT_EQ(findings[0].code, ExitCode::communication);
}

TEST(NcclCheck, NotToBeHad) {
  NcclFacts facts = working(2);
  facts.missing = "libnccl.so.2 could not be opened";
  EXPECT_THAT(verdicts(judge_nccl(facts)), ElementsAre(AllOf(HasSubstr("warning: libnccl.so.2"), HasSubstr("through the host"),
                                                             HasSubstr("LD_LIBRARY_PATH"))));
  facts.communicator = CommunicatorKind::nccl;
  EXPECT_THAT(verdicts(judge_nccl(facts)), ElementsAre(HasSubstr("broken: libnccl.so.2")));
  facts.communicator = std::nullopt;
  facts.ranks = 1;
  EXPECT_THAT(verdicts(judge_nccl(facts)), ElementsAre("ok: not needed by one rank"));

  facts = working(2);
  facts.own = false;
  EXPECT_THAT(verdicts(judge_nccl(facts)), ElementsAre(HasSubstr("warning: ranks share a GPU, which NCCL does not allow; they")));
  facts.communicator = CommunicatorKind::nccl;
  EXPECT_THAT(verdicts(judge_nccl(facts)), ElementsAre(HasSubstr("broken: ranks share a GPU")));
}

TEST(NcclCheck, NotAskedFor) {
  NcclFacts facts;
  EXPECT_THAT(verdicts(judge_nccl(facts)), ElementsAre("ok: not needed without a GPU for every rank"));
  facts.communicator = CommunicatorKind::nccl;
  EXPECT_THAT(verdicts(judge_nccl(facts)),
              ElementsAre(HasSubstr("broken: parallel.communicator = \"nccl\", and not every rank")));
  facts = working(2);
  facts.communicator = CommunicatorKind::mpi;
  EXPECT_THAT(verdicts(judge_nccl(facts)), ElementsAre(HasSubstr("ok: left alone")));
}

}  // namespace
}  // namespace lora_dist::nccl_check_test
