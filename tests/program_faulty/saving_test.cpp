// Asynchronous checkpoints: killed, delayed or stopped at any moment.
#include <gtest/gtest.h>

#include "src/checkpoint/checkpoint.h"
#include "tests/program_faulty/faulty_launch.h"

namespace lora_dist::program::saving_test {
namespace {

namespace fs = std::filesystem;

using Names = std::vector<std::string>;

void expect_sound(const fs::path& output) {
  for (const std::string& checkpoint : checkpoints_of(output)) {
    EXPECT_EQ(verify_checkpoint(output / "checkpoints" / checkpoint), std::vector<std::string>{});
  }
}

void expect_goes_on_from(const Settings& settings, int ranks, const std::string& checkpoint, const fs::path& straight) {
  const Finished resumed = expect_success(launch_of(settings, ranks));
  EXPECT_EQ(count_of(resumed.out, "/" + checkpoint + " (step "), 1) << resumed.out;
  expect_steps(settings.at("output.dir"), 10);
  expect_same_training(settings.at("output.dir"), straight);
}

TEST(Saving, AKillBetweenCopyAndCommitLeavesTheEarlierOneAsTheNewest) {
  const Scratch scratch;
  expect_success(launch_of(short_run(scratch / "straight"), 1));
  int number = 0;
  for (const char* fault : {"kill,shard,1,2", "kill,commit,0,2"}) {
    const Settings settings = short_run(scratch / std::to_string(number++));
    EXPECT_NE(run_program(faulty(settings, 2, fault)).exit_code, 0) << fault;
    EXPECT_EQ(checkpoints_of(settings.at("output.dir")), Names{"step_00000002"}) << fault;
    expect_goes_on_from(settings, 2, "step_00000002", scratch / "straight");
    EXPECT_FALSE(fs::exists(fs::path(settings.at("output.dir")) / "checkpoints/.tmp-step_00000004")) << fault;
  }
}

/// Each is slower than the steps up to the next.
TEST(Saving, ANextOneWaitsForTheOneBefore) {
  const Scratch scratch;
  expect_success(launch_of(short_run(scratch / "straight"), 1));
  Settings settings = short_run(scratch / "out");
  settings["checkpoint.every"] = "1";
  settings["checkpoint.keep"] = "20";
  const Finished finished = expect_success(faulty(settings, 2, "slow,shard,1,1,0,0.1;slow,commit,0,1,0,0.1"));
  EXPECT_EQ(count_of(finished.out, "checkpoints 10 saved; training waited "), 1) << finished.out;
  EXPECT_EQ(checkpoints_of(scratch / "out").size(), 10U);
  expect_sound(scratch / "out");
  expect_same_training(scratch / "out", scratch / "straight");
  // A save is over when the next begins; the line after that tells.
  const auto lines = read_lines(scratch / "out/metrics.jsonl");
  ASSERT_EQ(lines.size(), 10U);
  EXPECT_TRUE(lines[1]["checkpoint"].is_null());
  for (std::size_t i = 2; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i]["checkpoint"]["step"], i - 1);
    EXPECT_GE(lines[i]["checkpoint"]["seconds"], 0.2);
    EXPECT_GT(lines[i]["checkpoint"]["blocked_seconds"], 0.0);
  }
}

TEST(Saving, AStopCommitsWhatIsBeingWrittenAndItsOwn) {
  const Scratch scratch;
  expect_success(launch_of(short_run(scratch / "straight"), 1));
  const Settings settings = short_run(scratch / "out");
  const Finished stopped = run_program(faulty(settings, 2, "slow,shard,1,1,0,1;signal,step,0,3"));
  EXPECT_EQ(stopped.exit_code, 75) << stopped.out << stopped.err;
  EXPECT_EQ(count_of(stopped.out, "stopped on request at step 3 of 10"), 1) << stopped.out;
  EXPECT_EQ(checkpoints_of(scratch / "out"), (Names{"step_00000002", "step_00000003"}));
  expect_goes_on_from(settings, 2, "step_00000003", scratch / "straight");
}

/// Steps go on beside a thread that hangs; who waits for it in the end is told.
TEST(Saving, AHangingWriteHoldsUpTheNextOneAlone) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["checkpoint.every"] = "3";
  settings["parallel.watchdog_seconds"] = "2";
  Launch launch = faulty(settings, 2, "hang,shard,1,2");
  launch.timeout_seconds = 90.0;
  expect_error(launch, 86, {"rank 1 never came: it is in step 9, saving a checkpoint, since ", "rank 0 waits in step 9"});
  expect_steps(scratch / "out", 9);
  EXPECT_EQ(checkpoints_of(scratch / "out"), Names{"step_00000003"});
}

TEST(Saving, WrongBitsAreUndoneFromTheOneThatIsBeingWritten) {
  const Scratch scratch;
  expect_success(launch_of(short_run(scratch / "straight"), 1));
  const Finished finished = expect_success(faulty(short_run(scratch / "out"), 2, "lie,adapter,1,3;slow,commit,0,1,1,1"));
  EXPECT_EQ(count_of(finished.out, "/step_00000002 (step 2)"), 1) << finished.out << finished.err;
  expect_same_training(scratch / "out", scratch / "straight");
}

/// Another error ends the steps meanwhile.
TEST(Saving, WhatIsBeingWrittenIsCommittedBeforeAnErrorEndsTheJob) {
  const Scratch scratch;
  expect_error(faulty(short_run(scratch / "out"), 2, "slow,shard,1,1,1,0.5;nan,gradient,1,5"), 7,
               {"loss or gradient is not finite"});
  EXPECT_EQ(checkpoints_of(scratch / "out"), Names{"step_00000002"});
  expect_sound(scratch / "out");
}

}  // namespace
}  // namespace lora_dist::program::saving_test
