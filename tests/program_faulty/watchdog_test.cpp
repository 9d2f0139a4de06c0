// Ranks that stop, hang or lose a message: the job ends with exit code 86 and reports which ranks wait for which.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tests/program_faulty/faulty_launch.h"

namespace lora_dist::program::watchdog_test {
namespace {

namespace fs = std::filesystem;

Settings watched_run(const fs::path& output, const std::string& seconds) {
  Settings settings = short_run(output);
  settings["parallel.watchdog_seconds"] = seconds;
  settings["train.max_steps"] = "100000";
  settings["checkpoint.every"] = "0";
  settings["output.tensorboard"] = "false";
  return settings;
}

/// What the watchdog does not end the test does.
Launch hanging(const Settings& settings, int ranks, const std::string& fault) {
  Launch launch = faulty(settings, ranks, fault);
  launch.timeout_seconds = 90.0;
  return launch;
}

TEST(Watchdog, NamesARankThatIsStopped) {
  const Scratch scratch;
  // Ranks tell where they are every 0.1 s; by step 30 rank 2 has told of a step on any machine.
  const Finished ended = expect_error(hanging(watched_run(scratch / "out", "2"), 4, "stop,step,2,30"), 86,
                                      {"no progress on any rank for 2 s (parallel.watchdog_seconds = 2)", "rank 2 on ",
                                       "gives no sign of life since", "it was last at step ", "ranks 0-1, 3 wait in step 30, ",
                                       (scratch / "out/watchdog").string() + "/flight_*.jsonl", "Run the same command again"});
  for (const char* file : {"flight_00000.jsonl", "flight_00001.jsonl", "flight_00003.jsonl"}) {
    const auto lines = read_lines(scratch / "out/watchdog" / file);
    ASSERT_GT(lines.size(), 10U) << file;
    EXPECT_LE(lines.size(), 257U) << file;
    EXPECT_EQ(lines.front()["at"], "training");
    EXPECT_TRUE(lines.back()["ended"].is_null()) << lines.back();  // what it waits in
    EXPECT_TRUE(lines[5]["ended"].is_number()) << lines[5];
  }
  // Rank 2 may leave a record as well: mpirun continues a stopped process before it ends it.
}

TEST(Watchdog, AnotherRankSpeaksWhereRank0IsStopped) {
  const Scratch scratch;
  expect_error(hanging(watched_run(scratch / "out", "2"), 2, "stop,step,0,3"), 86,
               {"rank 0 on ", "gives no sign of life since", "rank 1 waits in step 3, "});
}

/// Commands without a run folder have the ranks' files in a temporary one.
fs::path temporary_folder_of(const Scratch& scratch, Launch& launch) {
  const fs::path folder = scratch / "tmp";
  fs::create_directory(folder);
  launch.environment["TMPDIR"] = folder.string();
  return folder;
}

std::vector<fs::path> watchdog_folders(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with("lora_dist_watchdog_")) {
      found.push_back(entry.path());
    }
  }
  return found;
}

TEST(Watchdog, WatchesOverEvalToo) {
  const Scratch scratch;
  Settings settings = watched_run(scratch / "out", "2");
  settings["data.validation_split"] = "0.5";
  Launch launch = launch_of(settings, 2, "eval");
  launch.environment["LORA_DIST_FAULT"] = "stop,evaluate,1,1";
  launch.timeout_seconds = 90.0;
  const fs::path temporary = temporary_folder_of(scratch, launch);
  const Finished ended =
      expect_error(launch, 86,
                   {"no progress on any rank for 2 s (parallel.watchdog_seconds = 2)", "rank 1 on ",
                    "gives no sign of life since", "rank 0 waits in ", "/flight_*.jsonl. Run the same command again"});
  EXPECT_EQ(count_of(ended.err, "checkpoint"), 0) << ended.err;
  const std::vector<fs::path> folders = watchdog_folders(temporary);
  ASSERT_EQ(folders.size(), 1U);
  EXPECT_TRUE(fs::exists(folders[0] / "flight_00000.jsonl"));
  EXPECT_FALSE(fs::exists(scratch / "out/watchdog"));
}

/// A command without a configuration, whose rank 1 stops in its `passing`-th gather of all.
void expect_watched(const std::vector<std::string>& command, int passing) {
  const Scratch scratch;
  Launch launch;
  launch.ranks = 2;
  launch.arguments = command;
  for (const std::string& argument : {std::string("--model"), source("demo/model").string(), std::string("--input"),
                                      source("tests/golden/stories260k/score_input.jsonl").string(), std::string("--output"),
                                      (scratch / "out.jsonl").string(), std::string("--watchdog-seconds"), std::string("2")}) {
    launch.arguments.push_back(argument);
  }
  launch.environment["LORA_DIST_FAULT"] = "stop,all_gather,1," + std::to_string(passing);
  launch.timeout_seconds = 90.0;
  temporary_folder_of(scratch, launch);
  expect_error(launch, 86,
               {"no progress on any rank for 2 s (--watchdog-seconds = 2)", "rank 1 on ", "gives no sign of life since",
                "rank 0 waits in "});
  EXPECT_FALSE(fs::exists(scratch / "out.jsonl"));
}

TEST(Watchdog, WatchesOverScoreAndGenerateToo) {
  expect_watched({"score"}, 16);
  expect_watched({"generate"}, 16);
}

TEST(Watchdog, LeavesNothingBehindOfACommand) {
  const Scratch scratch;
  Settings settings = watched_run(scratch / "out", "2");
  settings["data.validation_split"] = "0.5";
  Launch launch = launch_of(settings, 2, "eval");
  const fs::path temporary = temporary_folder_of(scratch, launch);
  expect_success(launch);
  EXPECT_TRUE(watchdog_folders(temporary).empty());
}

TEST(Watchdog, NamesARankThatNeverCame) {
  const Scratch scratch;
  expect_error(hanging(watched_run(scratch / "out", "1"), 4, "hang,load,1,2"), 86,
               {"rank 1 never came: it is in reading the model, since ", "ranks 0, 2-3 wait in "});
}

TEST(Watchdog, TellsALostMessageFromALostRank) {
  const Scratch scratch;
  expect_error(hanging(watched_run(scratch / "out", "1"), 2, "hang,gradient_all_reduce,0,2"), 86,
               {"all ranks are in the same collective", "ranks 0-1 wait in step 2, all_reduce #", "adapter_gradient since "});
}

TEST(Watchdog, OneRankAlone) {
  const Scratch scratch;
  expect_error(hanging(watched_run(scratch / "out", "1"), 1, "hang,step,0,2"), 86, {"rank 0 is in step 2, training, since "});
}

/// One rank is busy for longer than the watchdog's time while the other waits for it: that is progress.
TEST(Watchdog, LeavesALongPhaseAlone) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["parallel.watchdog_seconds"] = "3";
  settings["train.max_steps"] = "1";
  Launch launch = hanging(settings, 2, "slow,tokenize,1,1,0,0.15");
  const Finished finished = expect_success(launch);
  EXPECT_GT(finished.seconds, 5.0);
  EXPECT_FALSE(fs::exists(scratch / "out/watchdog"));
}

/// A batch system may stop all processes of a job for a while.
TEST(Watchdog, LeavesAJobAloneThatWasSuspended) {
  const Scratch scratch;
  Settings settings = watched_run(scratch / "out", "2");
  settings["train.max_steps"] = "40";
  Launch launch = launch_of(settings, 2);
  launch.when = "step  3/40";
  launch.act = [](const RunningJob& job) {
    const auto ranks = job.ranks();
    for (const auto& [rank, process] : ranks) {
      kill(process, SIGSTOP);
    }
    std::this_thread::sleep_for(std::chrono::seconds(5));
    for (const auto& [rank, process] : ranks) {
      kill(process, SIGCONT);
    }
  };
  expect_success(launch);
}

TEST(Watchdog, IsOffWhereItIsToBe) {
  const Scratch scratch;
  Launch launch = hanging(watched_run(scratch / "out", "0"), 2, "hang,step,1,2");
  launch.timeout_seconds = 8.0;
  EXPECT_TRUE(run_program(launch).timed_out);
}

/// Of two ranks with two rounds of micro-batches one speaks.
TEST(SlowRank, ALongStepSaysWhereItIs) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["train.max_steps"] = "1";
  const Finished finished = expect_success(faulty(settings, 2, "slow,pass,1,1,1,5.1"));
  EXPECT_EQ(count_of(finished.out, "step 1/1  micro-batch 2/4  "), 1) << finished.out;
  EXPECT_EQ(count_of(finished.out, "micro-batch "), 1) << finished.out;
}

TEST(SlowRank, IsNamedInEveryLine) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["train.max_steps"] = "3";
  const Finished finished = expect_success(hanging(settings, 2, "slow,step,1,1,0,0.5"));
  EXPECT_EQ(count_of(finished.out, "slowest rank 1 ("), 3) << finished.out;
  for (const auto& line : read_lines(scratch / "out/metrics.jsonl")) {
    EXPECT_EQ(line["slowest_rank"], 1);
    EXPECT_GT(line["slowest_ratio"].get<double>(), 1.0);
  }
}

}  // namespace
}  // namespace lora_dist::program::watchdog_test
