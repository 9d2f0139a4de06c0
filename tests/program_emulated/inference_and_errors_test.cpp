// Scoring and generation on an emulated GPU, and what the program says when the GPU is the problem.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/program/fixtures.h"

namespace lora_dist::program::inference_and_errors_test {
namespace {

Launch on(const std::string& backend, std::vector<std::string> arguments, int ranks = 0) {
  Launch launch;
  launch.arguments = std::move(arguments);
  launch.arguments.insert(launch.arguments.end(), {"--model", source("demo/model").string(), "--backend", backend});
  launch.ranks = ranks;
  launch.environment = {{"LORA_DIST_EMULATED_OPEN", "1"}, {"OMP_NUM_THREADS", "1"}};
  return launch;
}

TEST(InferenceOnCuda, ScoresAreTheCpus) {
  const Scratch scratch;
  std::ofstream(scratch / "in.jsonl") << R"({"id": "a", "text": "Once upon a time, there was a little girl named Lily."})"
                                      << "\n";
  for (const char* backend : {"cpu", "cuda"}) {
    expect_success(on(backend, {"score", "--input", (scratch / "in.jsonl").string(), "--output", (scratch / backend).string(),
                                "--compute-dtype", "fp32"}));
  }
  const auto cpu = read_lines(scratch / "cpu").at(0);
  const auto cuda = read_lines(scratch / "cuda").at(0);
  EXPECT_EQ(cpu["argmax"], cuda["argmax"]);
  EXPECT_NEAR(cpu["loss"].get<double>(), cuda["loss"].get<double>(), 1e-5);
}

TEST(InferenceOnCuda, GeneratesTheSameGreedyTextThroughTheCache) {
  const std::vector<std::string> arguments = {"generate",        "--prompt", "Once upon a time", "--max-new-tokens", "8",
                                              "--compute-dtype", "fp32"};
  const std::string cpu = expect_success(on("cpu", arguments)).out;
  EXPECT_EQ(expect_success(on("cuda", arguments)).out, cpu);
  EXPECT_EQ(expect_success(on("cuda", arguments, 2)).out, cpu);
}

Launch training(const Scratch& scratch, Settings changes, int ranks = 1) {
  Settings settings = short_run(scratch / "out");
  settings["parallel.backend"] = "cuda";
  settings.merge(changes);
  return launch_of(settings, ranks);
}

TEST(CudaErrors, NoDevice) {
  const Scratch scratch;
  Launch launch = training(scratch, {}, 2);
  launch.environment["LORA_DIST_EMULATED_DEVICES"] = "0";
  expect_error(launch, 5, {"parallel.backend", "cuda"});
}

TEST(CudaErrors, OutOfMemorySaysWhatIsHeldAndWhatToChange) {
  const Scratch scratch;
  Launch launch = training(scratch, {});
  launch.environment["LORA_DIST_EMULATED_MEMORY"] = "2000000";
  expect_error(launch, 6, {"out of memory", "already held", "base shard", "train.micro_batch", "train.recompute"});
}

TEST(CudaErrors, ADeviceThatBreaksDuringTraining) {
  const Scratch scratch;
  Launch launch = training(scratch, {});
  launch.environment["LORA_DIST_EMULATED_OPEN"] = "1";
  launch.environment["LORA_DIST_EMULATED_BREAKS_AT"] = "200";
  expect_error(launch, 5, {"the GPU failed", "Xid"});
}

TEST(CudaErrors, NcclWithSeveralRanksOnOneDevice) {
  const Scratch scratch;
  expect_error(training(scratch, {{"parallel.communicator", "nccl"}}, 2), 2, {"nccl", "mpi"});
}

TEST(CudaErrors, NcclOnAMachineWithoutItsLibrary) {
  const Scratch scratch;
  Launch launch = training(scratch, {{"parallel.communicator", "nccl"}});
  launch.environment["LORA_DIST_EMULATED_NO_NCCL"] = "1";
  expect_error(launch, 2, {"nccl", "not found", "mpi"});
}

TEST(CudaErrors, AMachineWithoutCublasLt) {
  const Scratch scratch;
  Launch launch = training(scratch, {});
  launch.environment["LORA_DIST_EMULATED_NO_CUBLASLT"] = "1";
  expect_error(launch, 5, {"cuBLASLt", "not found", "parallel.backend"});
}

TEST(CudaErrors, WhatOnlyAGpuCanDoIsRefusedOnTheCpu) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["parallel.backend"] = "cpu";
  settings["model.compute_dtype"] = "bf16";
  expect_error(launch_of(settings, 1), 2, {"model.compute_dtype", "bf16", "fp32"});
  settings["model.compute_dtype"] = "auto";
  settings["parallel.communicator"] = "nccl";
  expect_error(launch_of(settings, 1), 2, {"parallel.communicator", "nccl", "mpi"});
  settings["parallel.communicator"] = "auto";
  settings["parallel.base_device"] = "device";
  expect_error(launch_of(settings, 1), 2, {"parallel.base_device", "device", "parallel.backend"});
}

TEST(CudaErrors, NoPinnedMemoryForABaseOnTheHost) {
  const Scratch scratch;
  Launch launch = training(scratch, {{"parallel.base_device", "host"}});
  launch.environment["LORA_DIST_EMULATED_PINNED"] = "50000";
  expect_error(launch, 6, {"out of pinned host memory", "block", "ulimit -l", "parallel.base_device"});
}

}  // namespace
}  // namespace lora_dist::program::inference_and_errors_test
