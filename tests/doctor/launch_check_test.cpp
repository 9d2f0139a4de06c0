// Verdicts on the launcher and MPI.
#include "src/doctor/launch_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/comm/single_rank.h"
#include "tests/doctor/verdicts.h"

namespace lora_dist::launch_check_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

LaunchFacts srun_of(std::int64_t started, int ranks) {
  LaunchFacts facts;
  facts.mpi = "Open MPI 4.1.4";
  facts.launcher = "srun";
  facts.started = started;
  facts.ranks = ranks;
  return facts;
}

TEST(LaunchCheck, SaysHowTheJobWasStarted) {
  LaunchFacts facts = srun_of(4, 4);
  facts.pmix = true;
  facts.machines = 2;
  EXPECT_THAT(verdicts(judge_launch(facts)), ElementsAre("ok: Open MPI 4.1.4, 4 ranks on 2 machines, started by srun with PMIx"));
  facts = {};
  facts.mpi = "Open MPI 4.1.4";
  facts.pmix = true;  // of its own making
  EXPECT_THAT(verdicts(judge_launch(facts)), ElementsAre("ok: Open MPI 4.1.4, 1 rank on 1 machine, without mpirun or srun"));
}

TEST(LaunchCheck, ProcessesThatEachThinkTheyAreAlone) {
  const std::vector<Finding> findings = judge_launch(srun_of(4, 1));
  EXPECT_THAT(verdicts(findings),
              ElementsAre(AllOf(HasSubstr("broken: srun started 4 processes, and MPI (Open MPI 4.1.4) sees each alone"),
                                HasSubstr("| srun --mpi=pmix"))));
  EXPECT_EQ(findings[0].code, ExitCode::communication);
  LaunchFacts facts = srun_of(4, 1);
  facts.mpi = "MPICH Version 4.0.2";
  EXPECT_THAT(verdicts(judge_launch(facts)), ElementsAre(HasSubstr("| srun --mpi=pmi2")));
  facts = srun_of(4, 2);
  facts.launcher = "mpirun";
  EXPECT_THAT(
      verdicts(judge_launch(facts)),
      ElementsAre(AllOf(HasSubstr("mpirun started 4 processes, and MPI (Open MPI 4.1.4) sees 2"), HasSubstr("--version"))));
}

TEST(LaunchCheck, WrongSums) {
  LaunchFacts facts = srun_of(2, 2);
  facts.exchanged = false;
  EXPECT_THAT(verdicts(judge_launch(facts)), ElementsAre(AllOf(HasSubstr("broken: "), HasSubstr("wrong numbers"))));
}

TEST(LaunchCheck, LooksAtOneRank) {
  const auto alone = make_single_rank();
  const LaunchFacts facts = look_at_launch(*alone);
  EXPECT_EQ(facts.ranks, 1);
  EXPECT_EQ(facts.machines, 1);
  EXPECT_TRUE(facts.exchanged);
}

}  // namespace
}  // namespace lora_dist::launch_check_test
