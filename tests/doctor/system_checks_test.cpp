// Verdicts on HDF5, inputs, limits, clocks, SLURM and the host's name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "src/comm/single_rank.h"
#include "src/doctor/clock_check.h"
#include "src/doctor/environment.h"
#include "src/doctor/hdf5_check.h"
#include "src/doctor/input_check.h"
#include "src/doctor/limit_check.h"
#include "src/doctor/name_check.h"
#include "src/doctor/slurm_check.h"
#include "tests/doctor/verdicts.h"
#include "tests/support/scratch.h"

namespace lora_dist::system_checks_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

TEST(Hdf5Check, Verdicts) {
  Hdf5Facts facts;
  facts.library = {"1.10.8", "1.10.8", false};
  EXPECT_THAT(verdicts(judge_hdf5(facts)), ElementsAre("ok: 1.10.8, serial"));
  facts.tried = true;
  EXPECT_THAT(verdicts(judge_hdf5(facts)), ElementsAre(HasSubstr("ok: 1.10.8, serial; a file with checksums was written")));
  facts.library = {"1.14.0", "1.10.8", true};
  EXPECT_THAT(verdicts(judge_hdf5(facts)), ElementsAre(AllOf(HasSubstr("warning: 1.14.0, parallel (used serially), and"),
                                                             HasSubstr("built with 1.10.8"), HasSubstr("| load the module"))));
  facts.problem = "cannot create a.h5: Permission denied";
  EXPECT_THAT(verdicts(judge_hdf5(facts)), ElementsAre(AllOf(HasSubstr("broken: "), HasSubstr("Permission denied"))));
}

TEST(Hdf5Check, LooksAtARealFile) {
  const Scratch scratch;
  EXPECT_EQ(look_at_hdf5(scratch.path(), 0).problem, "");
  EXPECT_THAT(look_at_hdf5(scratch / "nowhere", 0).problem, HasSubstr("cannot create"));
  EXPECT_FALSE(look_at_hdf5("", 0).tried);
}

TEST(InputCheck, NamesWhatIsMissing) {
  const Scratch scratch;
  const std::string there = scratch.write("a.jsonl", "{}").string();
  EXPECT_THAT(verdicts(judge_inputs(look_at_inputs({{"data.train", there}}))),
              ElementsAre("ok: 1 files and folders can be read"));
  EXPECT_THAT(verdicts(judge_inputs(look_at_inputs({}))), ElementsAre("ok: no configuration was given (--cfg FILE)"));
  EXPECT_THAT(verdicts(judge_inputs(look_at_inputs({{"data.train", there}, {"model.path", "/no/model"}}))),
              ElementsAre(AllOf(HasSubstr("broken: model.path /no/model is not there"), HasSubstr("| correct the path"))));
}

LimitFacts enough() {
  LimitFacts facts;
  facts.open_files = 1024;
  facts.shared_free = 1024 * kMiB;
  facts.ranks = 4;
  return facts;
}

TEST(LimitCheck, Verdicts) {
  EXPECT_THAT(verdicts(judge_limits(enough())), ElementsAre(HasSubstr("ok: ")));
  LimitFacts facts = enough();
  facts.locked_bytes = 8 * kMiB;
  EXPECT_EQ(judge_limits(facts)[0].verdict, Verdict::ok);  // Ethernet needs none
  facts.infiniband = true;
  EXPECT_THAT(verdicts(judge_limits(facts)),
              ElementsAre(AllOf(HasSubstr("warning: memlock is 8.00 MiB"), HasSubstr("ulimit -l"))));
  facts = enough();
  facts.open_files = 256;
  EXPECT_THAT(verdicts(judge_limits(facts)),
              ElementsAre("warning: nofile is 256: at least 544 open files are wanted | ulimit -n 544"));
  facts = enough();
  facts.address_space = 4096 * kMiB;
  EXPECT_THAT(verdicts(judge_limits(facts)), ElementsAre(AllOf(HasSubstr("limited to 4.00 GiB"), HasSubstr("ulimit -v"))));
  facts = enough();
  facts.shared_free = 64 * kMiB;
  EXPECT_THAT(verdicts(judge_limits(facts)),
              ElementsAre(AllOf(HasSubstr("/dev/shm has 64.0 MiB free; ranks of one machine want about 96.0 MiB"),
                                HasSubstr("--shm-size"))));
  facts.ranks = 1;
  EXPECT_EQ(judge_limits(facts)[0].verdict, Verdict::ok);
  EXPECT_EQ(shared_memory_wanted(8, 8), (32 + 128 + 512) * kMiB);
}

TEST(LimitCheck, LooksAtThisProcess) {
  const LimitFacts facts = look_at_limits(ProcessInfo{}, 0);
  EXPECT_NE(facts.open_files, 0);
  EXPECT_EQ(facts.ranks, 1);
}

TEST(ClockCheck, Verdicts) {
  EXPECT_THAT(verdicts(judge_clocks({{0.0, 0.3, -0.9}})), ElementsAre("ok: agree within a second"));
  EXPECT_THAT(verdicts(judge_clocks({{0.0}})), ElementsAre("ok: one rank, one clock"));
  EXPECT_THAT(verdicts(judge_clocks({{0.0, 2.5, 0.0, -61.0}})),
              ElementsAre(AllOf(HasSubstr("warning: rank 1's is 2.5 s ahead of rank 0's"), HasSubstr("NTP")),
                          HasSubstr("rank 3's is 61.0 s behind rank 0's")));
  EXPECT_THAT(look_at_clocks(*make_single_rank()).ahead, ElementsAre(0.0));
}

SlurmFacts job() {
  SlurmFacts facts;
  facts.job = "17";
  facts.nodes = 2;
  facts.tasks = 4;
  facts.ranks = 4;
  facts.cores = 8;
  facts.cpus_per_task = 8;
  return facts;
}

TEST(SlurmCheck, Verdicts) {
  EXPECT_THAT(verdicts(judge_slurm({})), ElementsAre("ok: this is no SLURM job"));
  EXPECT_THAT(verdicts(judge_slurm(job())), ElementsAre("ok: job 17, 2 nodes, 4 tasks, restarted 0 times"));
  SlurmFacts facts = job();
  facts.ranks = 1;
  EXPECT_THAT(verdicts(judge_slurm(facts)), ElementsAre(AllOf(HasSubstr("warning: the job has 4 tasks, and the program 1 rank"),
                                                              HasSubstr("| start it with srun"))));
  facts = job();
  facts.cores = 1;
  EXPECT_THAT(verdicts(judge_slurm(facts)),
              ElementsAre(AllOf(HasSubstr("--cpus-per-task is 8, and a rank has 1"), HasSubstr("SRUN_CPUS_PER_TASK"))));
  facts = job();
  facts.gpus_on_node = 4;
  EXPECT_EQ(judge_slurm(facts)[0].verdict, Verdict::ok);  // CPUs were asked for
  facts.devices_count = true;
  EXPECT_THAT(verdicts(judge_slurm(facts)),
              ElementsAre(HasSubstr("warning: 4 GPUs were given on this node, and a rank sees none")));
  facts = job();
  facts.now = 1000;
  facts.ends = 1060;
  EXPECT_THAT(verdicts(judge_slurm(facts)), ElementsAre("warning: the job ends in 60 s | ask for more --time"));
}

TEST(SlurmCheck, ReadsItsVariables) {
  const std::vector<std::pair<const char*, const char*>> variables = {{"SLURM_JOB_ID", "5"},
                                                                      {"SLURM_JOB_NUM_NODES", "3"},
                                                                      {"SLURM_NTASKS", "6"},
                                                                      {"SLURM_GPUS_ON_NODE", "2"},
                                                                      {"SLURM_RESTART_COUNT", "1"}};
  for (const auto& [name, value] : variables) {
    ::setenv(name, value, 1);
  }
  const SlurmFacts facts = look_at_slurm(6, 8, 2, true);
  for (const auto& [name, value] : variables) {
    ::unsetenv(name);
  }
  EXPECT_EQ(facts.job, "5");
  EXPECT_EQ(facts.nodes, 3);
  EXPECT_EQ(facts.tasks, 6);
  EXPECT_EQ(facts.gpus_on_node, 2);
  EXPECT_EQ(facts.restarts, 1);
  EXPECT_EQ(facts.cpus_per_task, variable_number("SLURM_CPUS_PER_TASK"));
}

TEST(NameCheck, Verdicts) {
  EXPECT_THAT(verdicts(judge_name({"n1", "", {"10.0.0.1"}, 1})), ElementsAre("ok: n1 leads to 10.0.0.1"));
  EXPECT_THAT(verdicts(judge_name({"n1", "", {"10.0.0.1"}, 4})), ElementsAre("ok: leads to an address"));
  EXPECT_THAT(verdicts(judge_name({"n1", "", {"127.0.1.1"}, 1})), ElementsAre(HasSubstr("ok: ")));
  EXPECT_THAT(verdicts(judge_name({"n1", "", {"127.0.1.1", "::1"}, 2})),
              ElementsAre(AllOf(HasSubstr("warning: n1 leads to 127.0.1.1 alone"), HasSubstr("NCCL_SOCKET_IFNAME"))));
  EXPECT_THAT(
      verdicts(judge_name({"n1", "Name or service not known", {}, 1})),
      ElementsAre(AllOf(HasSubstr("warning: n1 leads to no address (Name or service not known)"), HasSubstr("/etc/hosts"))));
  EXPECT_NE(look_at_name(1).host, "");
}

}  // namespace
}  // namespace lora_dist::system_checks_test
