// doctor alone and on two ranks, with and without a configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program::doctor_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

Launch doctor(const fs::path& folder, int ranks, const std::vector<std::string>& options = {}) {
  Launch launch;
  launch.arguments = {"doctor"};
  launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
  launch.folder = folder;
  launch.ranks = ranks;
  return launch;
}

TEST(Doctor, TwoRanksInAFolder) {
  const Scratch scratch;
  const Finished finished = expect_success(doctor(scratch.path(), 2));
  EXPECT_THAT(finished.out, HasSubstr(", 2 ranks on 1 machine, started by mpirun"));
  EXPECT_EQ(count_of(finished.out, "ok       MPI"), 1) << finished.out;  // both ranks in one line
  EXPECT_THAT(finished.out, HasSubstr("ok       locking      a second job in the same output.dir is refused"));
  EXPECT_THAT(finished.out, HasSubstr("a file with checksums was written and read back"));
  EXPECT_THAT(finished.out, HasSubstr("\nNothing is broken; "));
  EXPECT_TRUE(fs::is_empty(scratch.path())) << "something was left behind";
}

TEST(Doctor, WhatAConfigurationNeeds) {
  const Scratch scratch;
  const std::string data = scratch.write("a.jsonl", "{\"text\":\"Once\"}\n").string();
  put_file(scratch / "a.toml", "[model]\npath = \"" + source("demo/model").string() + "\"\n[data]\ntrain = [\"" + data + "\"]\n");
  const Finished fine = expect_success(doctor(scratch.path(), 0, {"--cfg", "a.toml"}));
  EXPECT_THAT(fine.out, HasSubstr("ok       inputs       2 files and folders can be read"));
  EXPECT_THAT(fine.out, HasSubstr("free in runs/a; 3 checkpoints, one in the making and the adapters take "));

  const Finished missing = run_program(doctor(scratch.path(), 2, {"--cfg", "a.toml", "--set", "data.validation=[\"b.jsonl\"]"}));
  EXPECT_EQ(missing.exit_code, 2) << missing.out << missing.err;
  EXPECT_THAT(missing.out, HasSubstr("broken   inputs       data.validation b.jsonl is not there"));
  EXPECT_THAT(missing.out, HasSubstr("\n1 broken; "));
  EXPECT_FALSE(fs::exists(scratch / "runs"));
}

TEST(Doctor, Json) {
  const Scratch scratch;
  const Finished finished = expect_success(doctor(scratch.path(), 2, {"--json"}));
  const auto json = nlohmann::json::parse(finished.out, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << finished.out;
  EXPECT_EQ(json["exit_code"], 0);
  EXPECT_EQ(json["hosts"].size(), 2U);
  EXPECT_EQ(json["findings"][0]["check"], "MPI");
  EXPECT_EQ(json["findings"][0]["ranks"], nlohmann::json({0, 1}));
}

TEST(Doctor, AFolderThatCannotBeWritten) {
  const Scratch scratch;
  const Finished finished = run_program(doctor(scratch.path(), 2, {"--set", "output.dir=/proc/lora_dist"}));  // not even root may
  EXPECT_EQ(finished.exit_code, 2) << finished.out << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("broken   output.dir   cannot make a folder in /proc"));
  EXPECT_THAT(finished.out, Not(HasSubstr("locking")));
}

/// As srun does it where it and MPI do not meet: each process is a job of one rank.
TEST(Doctor, ProcessesThatAreNotOneJob) {
  const Scratch scratch;
  Launch launch = doctor(scratch.path(), 0);
  launch.environment = {{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "0"}};
  const Finished finished = run_program(launch);
  EXPECT_EQ(finished.exit_code, 5) << finished.out << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("broken   MPI          srun started 4 processes"));
}

}  // namespace
}  // namespace lora_dist::program::doctor_test
