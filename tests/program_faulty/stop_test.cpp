// Stop requests in any phase, by signal, file or wall time: exit code 75, and a run that resumes to the same bits.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>

#include "tests/program_faulty/faulty_launch.h"

namespace lora_dist::program::stop_test {
namespace {

namespace fs = std::filesystem;

Settings evaluated_run(const fs::path& output) {
  Settings settings = short_run(output);
  settings["data.validation_split"] = "0.2";
  settings["eval.every"] = "3";
  settings["checkpoint.every"] = "4";
  return settings;
}

/// A stop that one rank alone is asked for, where `point` is passed for the n-th time.
Finished stop_at_point(const Settings& settings, int ranks, const std::string& fault) {
  Finished stopped = run_program(faulty(settings, ranks, fault));
  EXPECT_EQ(stopped.exit_code, 75) << fault << "\n" << stopped.out << stopped.err;
  EXPECT_EQ(count_of(stopped.err, "lora_dist: error:"), 0) << stopped.err;
  return stopped;
}

TEST(Stop, BeforeTheFirstStepSaysThatNothingWasTrained) {
  const Scratch scratch;
  int number = 0;
  for (const char* fault :
       {"signal,load,1,3", "signal,tokenize,1,5", "signal,evaluate,1,1", "signal,tokenize,0,5;hang,tokenize,1,2"}) {
    const fs::path output = scratch / std::to_string(number++);  // of its own: tokens kept by another run are not made again
    const Finished stopped = stop_at_point(evaluated_run(output), 2, fault);
    EXPECT_EQ(count_of(stopped.err, "stopped on request"), 1) << fault << stopped.err;
    EXPECT_EQ(count_of(stopped.err, "nothing was trained yet and nothing is lost; run the same command to start again"), 1)
        << fault << stopped.err;
    EXPECT_TRUE(checkpoints_of(output).empty()) << fault;
    EXPECT_LT(stopped.seconds, 60.0) << fault;
  }
}

TEST(Stop, InAnyPhaseOfTrainingGoesOnToTheSameBits) {
  const Scratch scratch;
  const Settings straight = evaluated_run(scratch / "straight");
  expect_success(launch_of(straight, 1));
  // The fourth evaluated pass of a rank and later ones belong to the evaluation after step 3; what is asked for while the
  // checkpoint of step 4 is written is answered by that checkpoint.
  const std::map<std::string, std::string> faults = {{"signal,pass,1,7", ""},
                                                     {"signal,evaluate,1,4", "step_00000003"},
                                                     {"signal,save,0,1", "step_00000004"},
                                                     {"signal,gradient_all_reduce,1,5", "step_00000005"}};
  int number = 0;
  for (const auto& [fault, checkpoint] : faults) {
    Settings settings = straight;
    settings["output.dir"] = (scratch / std::to_string(number++)).string();
    const Finished stopped = stop_at_point(settings, 2, fault);
    EXPECT_EQ(count_of(stopped.out, "stopped on request at step "), 1) << fault << stopped.out;
    ASSERT_FALSE(checkpoints_of(settings["output.dir"]).empty()) << fault;
    if (!checkpoint.empty()) {
      EXPECT_EQ(checkpoints_of(settings["output.dir"]).back(), checkpoint) << fault;
    }
    expect_success(launch_of(settings, 2));
    expect_steps(settings["output.dir"], 10);
    expect_same_training(settings["output.dir"], scratch / "straight");
    for (const char* key : {"step", "loss", "best"}) {
      EXPECT_EQ(column(read_lines(fs::path(settings["output.dir"]) / "eval.jsonl"), key),
                column(read_lines(scratch / "straight/eval.jsonl"), key))
          << fault << " " << key;
    }
  }
}

TEST(Stop, WhileTheAnswersAreShownLeavesThemOut) {
  const Scratch scratch;
  Settings settings = evaluated_run(scratch / "out");
  settings["data.train"] = toml_list({scratch / "rows.jsonl"});
  std::string rows;
  for (int i = 0; i < 40; ++i) {
    rows += R"({"question": "Who is Tom?", "answer": "A boy with )" + std::to_string(i) + R"( toys."})" + "\n";
  }
  put_file(scratch / "rows.jsonl", rows);
  const Finished finished = expect_success(faulty(settings, 2, "signal,answer,1,3"));
  EXPECT_EQ(count_of(finished.out, "the run is complete and saved; answers are left out"), 1) << finished.out;
  EXPECT_EQ(checkpoints_of(scratch / "out").back(), "step_00000010");
}

Settings long_run(const fs::path& output) {
  Settings settings = short_run(output);
  settings["train.max_steps"] = "100000";
  settings["checkpoint.every"] = "0";
  return settings;
}

TEST(Stop, AFileAsksToo) {
  const Scratch scratch;
  Launch launch = launch_of(long_run(scratch / "out"), 2);
  launch.when = "loss ";
  launch.act = [&](const RunningJob&) { put_file(scratch / "out/stop", ""); };
  const Finished stopped = run_program(launch);
  EXPECT_EQ(stopped.exit_code, 75) << stopped.out << stopped.err;
  EXPECT_EQ(count_of(stopped.out, "(the file " + (scratch / "out/stop").string() + ")"), 1) << stopped.out;
  EXPECT_EQ(checkpoints_of(scratch / "out").size(), 1U);
  EXPECT_FALSE(fs::exists(scratch / "out/stop"));
}

TEST(Stop, AFileThatIsOlderThanTheJobIsTakenAway) {
  const Scratch scratch;
  fs::create_directories(scratch / "out");
  put_file(scratch / "out/stop", "");
  const Finished finished = expect_success(launch_of(short_run(scratch / "out"), 2));
  EXPECT_EQ(
      count_of(finished.out, "note: " + (scratch / "out/stop").string() + " was left by an earlier request to stop; removed"), 1)
      << finished.out;
  EXPECT_FALSE(fs::exists(scratch / "out/stop"));
}

std::string seconds_from_now(int seconds) {
  return std::to_string(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count() + seconds);
}

TEST(Stop, BeforeTheWallTimeEnds) {
  const Scratch scratch;
  Settings settings = long_run(scratch / "out");
  settings["checkpoint.walltime_margin_seconds"] = "8";
  Launch launch = launch_of(settings, 2);
  launch.environment["SLURM_JOB_END_TIME"] = seconds_from_now(24);
  const Finished stopped = run_program(launch);
  EXPECT_EQ(stopped.exit_code, 75) << stopped.out << stopped.err;
  EXPECT_EQ(count_of(stopped.out, "wall time  ends in "), 1) << stopped.out;
  EXPECT_EQ(count_of(stopped.out, "(the wall time ends in about "), 1) << stopped.out;
  EXPECT_EQ(checkpoints_of(scratch / "out").size(), 1U);
  EXPECT_LT(stopped.seconds, 24.0);
}

TEST(Stop, AJobThatIsShorterThanTheMarginTrainsTooOrSaysSo) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  Launch launch = launch_of(settings, 1);
  launch.environment["SLURM_JOB_END_TIME"] = seconds_from_now(100);  // the margin is 120
  const Finished finished = expect_success(launch);
  EXPECT_EQ(count_of(finished.err, "instead of checkpoint.walltime_margin_seconds = 120 it is stopped "), 1) << finished.err;
}

}  // namespace
}  // namespace lora_dist::program::stop_test
