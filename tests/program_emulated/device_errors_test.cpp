// GPU errors, on all ranks or on one: one message, exit code 5 or 6, and no rank is left waiting.
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program::device_errors_test {
namespace {

using Environment = std::map<std::string, std::string>;

Launch training(const Scratch& scratch, int ranks, const Environment& environment, const Settings& changes = {}) {
  Settings settings = short_run(scratch / "out");
  settings["parallel.backend"] = "cuda";
  settings["data.max_length"] = "24";
  settings["data.packing"] = "false";
  settings["train.global_batch"] = "4";
  settings["train.max_steps"] = "2";
  for (const auto& [key, value] : changes) {
    settings[key] = value;
  }
  Launch launch = launch_of(settings, ranks);
  launch.environment["LORA_DIST_EMULATED_OPEN"] = "1";
  launch.environment["OMP_NUM_THREADS"] = "1";
  launch.timeout_seconds = 300.0;
  for (const auto& [name, value] : environment) {
    launch.environment["LORA_DIST_EMULATED_" + name] = value;
  }
  return launch;
}

/// Two ranks with a GPU each.
Launch training_on_nccl(const Scratch& scratch, Environment environment) {
  environment["DEVICES"] = "2";
  return training(scratch, 2, environment, {{"parallel.communicator", "nccl"}});
}

TEST(DeviceErrors, ADriverOlderThanTheRunTime) {
  const Scratch scratch;
  expect_error(training(scratch, 2, {{"DRIVER", "12040"}}), 5, {"the driver is for CUDA 12.4", "13.0", "update the driver"});
  expect_error(training(scratch, 1, {{"DRIVER", "0"}}), 5, {"no NVIDIA driver", "nvidia-smi"});
}

TEST(DeviceErrors, DevicesThatAreNotReady) {
  const Scratch scratch;
  expect_error(training(scratch, 2, {{"NOT_READY", "1"}}), 5,
               {"the GPUs cannot be used: system not yet initialized (cudaErrorSystemNotReady", "nvidia-fabricmanager"});
}

TEST(DeviceErrors, AChipThatTheBuildHasNoCodeFor) {
  const Scratch scratch;
  const Environment old_chip = {{"CODE", "90"}, {"CAPABILITY", "70"}};
  expect_error(training(scratch, 2, old_chip), 5,
               {"no code for emulated", "7.0", "built for 90", "-DLORA_DIST_CUDA_ARCHITECTURES=70", "parallel.backend"});
  const Finished on_cpu =
      expect_success(training(scratch, 2, {{"CODE", "90"}, {"CAPABILITY_RANK1", "70"}}, {{"parallel.backend", "auto"}}));
  EXPECT_NE(on_cpu.out.find("fp32 on the CPU"), std::string::npos) << on_cpu.out;
  EXPECT_EQ(count_of(on_cpu.err, "warning: the GPUs are left alone and the CPU computes: this program has no code for"), 1)
      << on_cpu.err;
}

TEST(DeviceErrors, OneRankOutOfMemory) {
  const Scratch scratch;
  expect_error(training(scratch, 2, {{"MEMORY_RANK1", "300000"}}), 6, {"rank 1: out of memory", "asked for", "already held"});
}

/// The memory that operators keep for themselves is taken at the start, shown in the table, and explained where there is none.
TEST(DeviceErrors, OperatorsMemoryIsTakenAtTheStart) {
  const Scratch scratch;
  const Finished finished = expect_success(training(scratch, 1, {}, {{"train.max_steps", "1"}}));
  EXPECT_NE(finished.out.find("operator scratch        64.0 MiB"), std::string::npos) << finished.out;
  const std::vector<std::string> texts = {"asked for 67108864 bytes",
                                          "what operators keep for themselves",
                                          "base shard",
                                          "activations",
                                          "train.micro_batch",
                                          "train.recompute",
                                          "parallel.base_shards"};
  const Scratch empty;
  const Finished refused = expect_error(training(empty, 1, {{"MEMORY", "67000000"}}), 6, texts);
  EXPECT_EQ(refused.out.find("step "), std::string::npos) << refused.out;
  expect_error(training(empty, 2, {{"MEMORY_RANK1", "67000000"}}), 6, {"rank 1: out of memory", "what operators keep"});
}

TEST(DeviceErrors, AProductThatFindsNoMemoryDuringTraining) {
  const Scratch scratch;
  expect_error(training(scratch, 2, {{"PRODUCTS_FULL_AT_RANK1", "30"}}), 6,
               {"rank 1: out of memory", "cuBLASLt", "matmul of", "an operator of step 1", "activations", "train.micro_batch"});
}

TEST(DeviceErrors, OneDeviceThatBreaksDuringTraining) {
  const Scratch scratch;
  expect_error(training(scratch, 2, {{"BREAKS_AT_RANK1", "100"}}), 5, {"rank 1: ", "the GPU failed", "ECC", "Xid"});
}

/// launch/bundle counts GPUs by it.
TEST(DeviceErrors, TheVersionCountsTheDevices) {
  const std::vector<std::pair<Environment, std::string>> machines = {
      {{{"LORA_DIST_EMULATED_DEVICES", "2"}}, "CUDA      13.0, driver 13.0, devices 2\n"},
      {{{"LORA_DIST_EMULATED_DEVICES", "0"}}, "CUDA      13.0, driver 13.0, devices 0\n"},
      {{{"LORA_DIST_EMULATED_DRIVER", "0"}}, "CUDA      13.0, driver none, devices 0\n"},
      {{{"LORA_DIST_EMULATED_DRIVER", "12040"}}, "CUDA      13.0, driver 12.4, devices 0\n"}};
  for (const auto& [environment, text] : machines) {
    Launch launch;
    launch.arguments = {"--version"};
    launch.environment = environment;
    const Finished finished = expect_success(launch);
    EXPECT_NE(finished.out.find(text), std::string::npos) << finished.out;
  }
}

TEST(DeviceErrors, ARankThatCannotStartNccl) {
  const Scratch scratch;
  expect_error(training_on_nccl(scratch, {{"NCCL_START_FAILS_RANK1", "1"}}), 5,
               {"rank 1: NCCL did not start", "the emulated network is down", "NCCL_DEBUG", "parallel.communicator"});
}

/// NCCL reports at the next call, or only while the host waits for the GPU.
TEST(DeviceErrors, ALostPeerIsNamedWithTheCollective) {
  for (const char* hangs : {"0", "40"}) {
    const Scratch scratch;
    expect_error(training_on_nccl(scratch, {{"NCCL_BREAKS_AT_RANK0", "7"}, {"NCCL_HANGS", hangs}}), 5,
                 {"rank 0: NCCL all_gather failed", "the emulated peer is lost", "NCCL_DEBUG", "last checkpoint"});
  }
}

/// Rank 1 ends by an error of its own while a gather holds its streams for ever, and nothing says that a peer is lost.
TEST(DeviceErrors, ARankThatEndsDoesNotWaitForAGatherThatNeverEnds) {
  const Scratch scratch;
  expect_error(
      training_on_nccl(scratch, {{"NCCL_BREAKS_AT_RANK1", "2"}, {"NCCL_HANGS", "1000000000"}, {"PRODUCTS_FULL_AT_RANK1", "2"}}),
      6, {"rank 1: out of memory", "cuBLASLt"});
}

/// Rank 0 only hears that rank 1 is gone; rank 1 knows why.
TEST(DeviceErrors, TheCauseIsHeardBeforeItsConsequences) {
  const Scratch scratch;
  expect_error(training_on_nccl(scratch, {{"PRODUCTS_FULL_AT_RANK1", "2"}, {"NCCL_BREAKS_AT_RANK0", "4"}}), 6,
               {"rank 1: out of memory", "cuBLASLt"});
}

}  // namespace
}  // namespace lora_dist::program::device_errors_test
