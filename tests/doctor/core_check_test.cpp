// Verdicts on cores, threads and binding.
#include "src/doctor/core_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/doctor/verdicts.h"

namespace lora_dist::core_check_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

CoreFacts cores(int ranks, std::int64_t own, std::int64_t together, std::int64_t of_job, int threads) {
  return {ranks, own, together, of_job, threads, false};
}

TEST(CoreCheck, RanksThatHaveTheirCores) {
  EXPECT_THAT(verdicts(judge_cores(cores(2, 8, 16, 16, 8))), ElementsAre("ok: 2 ranks of a machine on 16 cores, 8 threads each"));
  EXPECT_THAT(verdicts(judge_cores(cores(1, 1, 1, 1, 1))), ElementsAre("ok: 1 rank of a machine on 1 core, 1 thread each"));
}

TEST(CoreCheck, MoreRanksThanCores) {
  EXPECT_THAT(verdicts(judge_cores(cores(4, 2, 2, 2, 1))),
              ElementsAre(AllOf(HasSubstr("warning: 4 ranks of a machine share 2 cores"), HasSubstr("| start fewer ranks"))));
  EXPECT_THAT(verdicts(judge_cores(cores(4, 1, 1, 16, 1))),
              ElementsAre(AllOf(HasSubstr("4 ranks of a machine share 1 core"), HasSubstr("bound too narrowly"))));
}

TEST(CoreCheck, MoreThreadsThanCores) {
  CoreFacts facts = cores(4, 8, 8, 8, 8);
  facts.threads_were_set = true;
  EXPECT_THAT(verdicts(judge_cores(facts)),
              ElementsAre(AllOf(HasSubstr("OMP_NUM_THREADS = 8 with 4 ranks of a machine makes 32 threads on 8 cores"),
                                HasSubstr("| OMP_NUM_THREADS=2"))));
  facts.threads = 2;
  EXPECT_EQ(judge_cores(facts)[0].verdict, Verdict::ok);
}

TEST(CoreCheck, CoresThatNobodyMayUse) {
  EXPECT_THAT(verdicts(judge_cores(cores(2, 1, 2, 16, 1))),
              ElementsAre(AllOf(HasSubstr("warning: 2 ranks of a machine may run on 2 cores of 16"), HasSubstr("slot:PE=8"))));
}

TEST(CoreCheck, LooksAtThisProcess) {
  const CoreFacts facts = look_at_cores(ProcessInfo{});
  EXPECT_GE(facts.own, 1);
  EXPECT_GE(facts.together, facts.own);
  EXPECT_GE(facts.threads, 1);
}

}  // namespace
}  // namespace lora_dist::core_check_test
