// The same bits on every number of ranks and threads: packing, dropout, NF4, and an indivisible global batch.
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program::bits_test {
namespace {

Settings packed_run(const std::filesystem::path& output) {
  Settings settings = short_run(output);
  settings["data.max_length"] = "256";  // two or three samples in a sequence
  settings["data.validation_split"] = "0.1";
  settings["eval.every"] = "4";
  settings["train.max_steps"] = "8";
  settings["checkpoint.every"] = "0";
  return settings;
}

TEST(Bits, AreTheSameOnOneToFourRanks) {
  const Scratch scratch;
  expect_success(launch_of(packed_run(scratch / "np1"), 1));
  expect_steps(scratch / "np1", 8);
  const auto losses = column(read_lines(scratch / "np1/eval.jsonl"), "loss");
  EXPECT_EQ(losses.size(), 3U);  // before training, step 4 and step 8
  for (const int ranks : {2, 3, 4}) {
    const std::filesystem::path output = scratch / ("np" + std::to_string(ranks));
    expect_success(launch_of(packed_run(output), ranks));
    expect_same_training(output, scratch / "np1");
    EXPECT_EQ(column(read_lines(output / "eval.jsonl"), "loss"), losses) << ranks << " ranks";
  }
}

TEST(Bits, AreTheSameOnAnyNumberOfThreads) {
  const Scratch scratch;
  expect_success(launch_of(packed_run(scratch / "reference"), 0));
  for (const char* threads : {"1", "3"}) {
    for (const int ranks : {1, 3}) {
      const std::filesystem::path output = scratch / (std::to_string(ranks) + "x" + threads);
      Launch launch = launch_of(packed_run(output), ranks);
      launch.environment["OMP_NUM_THREADS"] = threads;
      expect_success(launch);
      expect_same_training(output, scratch / "reference");
    }
  }
}

TEST(Bits, DoNotDependOnWhetherTheBaseIsShardedOrActivationsAreKept) {
  const Scratch scratch;
  expect_success(launch_of(packed_run(scratch / "sharded"), 2));
  Settings settings = packed_run(scratch / "whole");
  settings["parallel.base_shards"] = "1";
  settings["train.recompute"] = "none";
  expect_success(launch_of(settings, 2));
  expect_same_training(scratch / "whole", scratch / "sharded");
}

TEST(Bits, DependOnTheSeed) {
  const Scratch scratch;
  expect_success(launch_of(packed_run(scratch / "a"), 1));
  Settings settings = packed_run(scratch / "b");
  settings["train.seed"] = "43";
  expect_success(launch_of(settings, 1));
  EXPECT_NE(column(read_lines(scratch / "a/metrics.jsonl"), "loss"), column(read_lines(scratch / "b/metrics.jsonl"), "loss"));
}

}  // namespace
}  // namespace lora_dist::program::bits_test
