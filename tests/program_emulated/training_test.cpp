// The whole program with operators on an emulated GPU: results equal the CPU's, on any number of ranks.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/program/fixtures.h"

namespace lora_dist::program::training_test {
namespace {

Settings run_on(const std::filesystem::path& output, const std::string& backend, const std::string& compute_dtype = "auto") {
  Settings settings = short_run(output);
  settings["parallel.backend"] = backend;
  settings["model.compute_dtype"] = compute_dtype;
  settings["data.max_length"] = "24";
  settings["data.packing"] = "false";
  settings["train.global_batch"] = "5";  // three micro-batches: uneven on two ranks
  settings["train.micro_batch"] = "2";
  settings["train.max_steps"] = "2";
  settings["checkpoint.every"] = "0";
  return settings;
}

/// Device memory stays open to the host, which saves most of the time; one test below keeps it closed.
Launch open_launch(const Settings& settings, int ranks) {
  Launch launch = launch_of(settings, ranks);
  launch.environment["LORA_DIST_EMULATED_OPEN"] = "1";
  launch.environment["OMP_NUM_THREADS"] = "1";
  launch.timeout_seconds = 400.0;
  return launch;
}

void expect_losses_near(const std::filesystem::path& output, const std::filesystem::path& reference, double limit) {
  const auto losses = column(read_lines(output / "metrics.jsonl"), "loss");
  const auto expected = column(read_lines(reference / "metrics.jsonl"), "loss");
  ASSERT_EQ(losses.size(), expected.size());
  for (std::size_t i = 0; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i].get<double>(), expected[i].get<double>(), limit) << "step " << i + 1;
  }
}

TEST(OnCuda, LossCurvesAreTheCpus) {
  const Scratch scratch;
  expect_success(open_launch(run_on(scratch / "cpu", "cpu"), 1));
  Launch closed = open_launch(run_on(scratch / "fp32", "cuda", "fp32"), 1);
  closed.environment["LORA_DIST_EMULATED_OPEN"] = "0";
  expect_success(closed);
  expect_losses_near(scratch / "fp32", scratch / "cpu", 1e-4);
  const Finished bf16 = expect_success(open_launch(run_on(scratch / "bf16", "cuda"), 1));
  EXPECT_NE(bf16.out.find("bf16 on emulated"), std::string::npos) << bf16.out;
  expect_losses_near(scratch / "bf16", scratch / "cpu", 1e-2);
}

TEST(OnCuda, LossCurvesOfFp4AndInt8AreTheCpus) {
  const Scratch scratch;
  for (const std::string format : {"fp4", "int8"}) {
    const auto launch = [&](const std::string& name, const std::string& backend, int ranks) {
      Settings settings = run_on(scratch / (format + name), backend, "fp32");
      settings["model.quantization"] = format;
      expect_success(open_launch(settings, ranks));
    };
    launch("cpu", "cpu", 1);
    launch("gpu", "cuda", 1);
    launch("gpus", "cuda", 2);
    expect_losses_near(scratch / (format + "gpu"), scratch / (format + "cpu"), 1e-4);
    expect_same_training(scratch / (format + "gpus"), scratch / (format + "gpu"));
  }
}

class MethodOnCuda : public testing::TestWithParam<const char*> {};

TEST_P(MethodOnCuda, HasTheLossCurvesOfTheCpu) {
  const Scratch scratch;
  const bool residual = GetParam() == std::string("pissa");
  const auto launch = [&](const std::string& name, const std::string& backend, const std::string& dtype, int ranks, int tensor) {
    Settings settings = run_on(scratch / name, backend, dtype);
    const std::string what = GetParam();
    settings["adapter.method"] = residual || what == "saved" || what == "tokens" ? "lora" : what;
    if (what == "saved") {
      settings["adapter.modules_to_save"] = R"(["embed_tokens", "norm"])";
      settings["adapter.ensure_weight_tying"] = "true";
    } else if (what == "tokens") {
      settings["adapter.trainable_token_indices"] = "[1, 403, 260]";
    }
    settings["adapter.init"] = residual ? "pissa" : "default";
    settings["adapter.target_modules"] = "all-linear";
    settings["parallel.tensor"] = std::to_string(tensor);
    expect_success(open_launch(settings, ranks));
  };
  launch("cpu", "cpu", "fp32", 1, 1);
  launch("gpu", "cuda", "fp32", 1, 1);
  launch("shards", "cuda", "fp32", 2, 2);
  launch("bf16", "cuda", "bf16", 1, 1);
  expect_losses_near(scratch / "gpu", scratch / "cpu", 1e-4);
  expect_losses_near(scratch / "shards", scratch / "cpu", 1e-4);
  // PiSSA adds and takes away a large part of each output, rounded to bf16 in between.
  expect_losses_near(scratch / "bf16", scratch / "cpu", residual ? 2e-2 : 1e-2);
}

INSTANTIATE_TEST_SUITE_P(All, MethodOnCuda, testing::Values("dora", "ia3", "vera", "adalora", "pissa", "saved", "tokens"),
                         [](const auto& info) { return std::string(info.param); });

/// Every weight trained: f32 on one and two ranks with the CPU's losses and, over NCCL or the host, the same bits; in bf16, whose
/// f32 values are kept beside, near them.
TEST(OnCuda, FullFineTuningHasTheLossCurvesOfTheCpu) {
  const Scratch scratch;
  const auto launch = [&](const std::string& name, const std::string& backend, const std::string& dtype, int ranks,
                          const Settings& more = {}) {
    Settings settings = run_on(scratch / name, backend, dtype);
    for (const char* key : {"adapter.dropout", "adapter.r", "adapter.alpha"}) {
      settings.erase(key);
    }
    settings["adapter.method"] = "full";
    settings["model.quantization"] = "none";
    for (const auto& [key, value] : more) {
      settings[key] = value;
    }
    Launch started = open_launch(settings, ranks);
    started.environment["LORA_DIST_EMULATED_DEVICES"] = std::to_string(ranks);
    expect_success(started);
  };
  launch("cpu", "cpu", "fp32", 1);
  launch("gpu", "cuda", "fp32", 1);
  launch("host", "cuda", "fp32", 2, {{"parallel.communicator", "mpi"}});
  launch("nccl", "cuda", "fp32", 2, {{"parallel.communicator", "nccl"}});
  launch("bf16", "cuda", "bf16", 1);
  launch("bf16_two", "cuda", "bf16", 2);
  expect_losses_near(scratch / "gpu", scratch / "cpu", 1e-4);
  expect_losses_near(scratch / "bf16", scratch / "cpu", 2e-2);  // the base itself is rounded
  for (const auto& [two, one] : {std::pair{"host", "gpu"}, {"nccl", "gpu"}, {"bf16_two", "bf16"}}) {
    EXPECT_EQ(digests_below((scratch / two) / "model"), digests_below((scratch / one) / "model")) << two;
  }
}

TEST(OnCuda, AChipWithoutBf16ComputesInFp16WithALossScale) {
  const Scratch scratch;
  expect_success(open_launch(run_on(scratch / "cpu", "cpu"), 1));
  Launch launch = open_launch(run_on(scratch / "fp16", "auto"), 1);
  launch.environment["LORA_DIST_EMULATED_CAPABILITY"] = "75";
  const Finished fp16 = expect_success(launch);
  EXPECT_NE(fp16.out.find("fp16 on emulated"), std::string::npos) << fp16.out;
  expect_losses_near(scratch / "fp16", scratch / "cpu", 1e-2);
  Launch refused = open_launch(run_on(scratch / "refused", "cuda", "bf16"), 1);
  refused.environment["LORA_DIST_EMULATED_CAPABILITY"] = "75";
  expect_error(refused, 2, {"model.compute_dtype", "bf16", "7.5"});
}

TEST(OnCuda, BitsAreTheSameOnOneTwoAndFourRanksThroughTheHost) {
  const Scratch scratch;
  expect_success(open_launch(run_on(scratch / "np1", "cuda"), 1));
  for (const int ranks : {2, 4}) {
    const std::filesystem::path output = scratch / ("np" + std::to_string(ranks));
    expect_success(open_launch(run_on(output, "cuda"), ranks));
    expect_same_training(output, scratch / "np1");
  }
}

TEST(OnCuda, NcclGivesTheSameBits) {
  const Scratch scratch;
  expect_success(open_launch(run_on(scratch / "np1", "cuda"), 1));
  Settings settings = run_on(scratch / "nccl", "cuda");
  settings["parallel.communicator"] = "nccl";
  Launch launch = open_launch(settings, 2);
  launch.environment["LORA_DIST_EMULATED_DEVICES"] = "2";
  expect_success(launch);
  expect_same_training(scratch / "nccl", scratch / "np1");
}

/// TP ranks: through the host and by NCCL, in f32 as on one rank but for the order of sums; the same bits on more data ranks.
TEST(OnCuda, TensorRanksShareAPass) {
  const Scratch scratch;
  expect_success(open_launch(run_on(scratch / "np1", "cuda", "fp32"), 1));
  const auto run = [&](const std::string& name, const char* communicator, int ranks, const char* sequence_parallel = "false") {
    Settings settings = run_on(scratch / name, "cuda", "fp32");
    settings["parallel.tensor"] = "2";
    settings["parallel.sequence_parallel"] = sequence_parallel;
    settings["parallel.communicator"] = communicator;
    Launch launch = open_launch(settings, ranks);
    launch.environment["LORA_DIST_EMULATED_DEVICES"] = std::to_string(ranks);
    launch.environment["LORA_DIST_EMULATED_LATE"] = "1";
    expect_success(launch);
  };
  run("host", "mpi", 2);
  run("hosts", "mpi", 4);
  run("nccl", "nccl", 4);
  expect_losses_near(scratch / "host", scratch / "np1", 2e-5);
  expect_same_training(scratch / "hosts", scratch / "host");
  expect_losses_near(scratch / "nccl", scratch / "np1", 2e-5);
  run("rows_host", "mpi", 2, "true");
  run("rows_nccl", "nccl", 2, "true");
  expect_losses_near(scratch / "rows_host", scratch / "np1", 2e-5);
  expect_same_training(scratch / "rows_nccl", scratch / "rows_host");  // both add in the order of the ranks here
}

/// Streams run late, so that a missing wait between copies, gathers, dequantization and products shows.
TEST(OnCuda, ABaseOnTheHostGivesTheSameBits) {
  const Scratch scratch;
  const Finished device = expect_success(open_launch(run_on(scratch / "device", "cuda"), 1));
  EXPECT_EQ(device.out.find("base shard (host)"), std::string::npos) << device.out;
  EXPECT_NE(device.out.find("base shard"), std::string::npos) << device.out;
  struct Mesh {
    int ranks;
    const char* communicator;
    const char* late;
  };
  for (const Mesh& mesh : {Mesh{1, "auto", "2"}, Mesh{2, "mpi", "1"}, Mesh{2, "nccl", "1"}}) {
    const std::filesystem::path output = scratch / (std::string(mesh.communicator) + mesh.late);
    Settings settings = run_on(output, "cuda");
    settings["parallel.base_device"] = "host";
    settings["parallel.communicator"] = mesh.communicator;
    Launch launch = open_launch(settings, mesh.ranks);
    launch.environment["LORA_DIST_EMULATED_DEVICES"] = std::to_string(mesh.ranks);
    launch.environment["LORA_DIST_EMULATED_LATE"] = mesh.late;
    const Finished host = expect_success(launch);
    EXPECT_NE(host.out.find("base shard (host)"), std::string::npos) << host.out;
    EXPECT_NE(host.out.find("in the host's memory"), std::string::npos) << host.out;
    expect_same_training(output, scratch / "device");
  }
}

TEST(OnCuda, BitsDoNotDependOnWhatIsComputedAgain) {
  const Scratch scratch;
  expect_success(open_launch(run_on(scratch / "block", "cuda"), 1));
  for (const char* recompute : {"none", "selective"}) {
    Settings settings = run_on(scratch / recompute, "cuda");
    settings["train.recompute"] = recompute;
    expect_success(open_launch(settings, 1));
    expect_same_training(scratch / recompute, scratch / "block");
  }
}

/// One step on `backend`, then `settings` for a second.
Settings one_step_done(const std::filesystem::path& output, const std::string& backend, const std::string& compute_dtype,
                       int ranks) {
  Settings settings = run_on(output, backend, compute_dtype);
  settings["train.max_steps"] = "1";
  settings["train.schedule"] = "constant";
  settings["train.warmup_ratio"] = "0";
  expect_success(open_launch(settings, ranks));
  settings["train.max_steps"] = "2";
  return settings;
}

TEST(OnCuda, ACheckpointMadeThereInFp32IsResumedOnTheCpu) {
  const Scratch scratch;
  Settings settings = one_step_done(scratch / "moved", "cuda", "fp32", 2);
  settings["parallel.backend"] = "cpu";
  settings["model.compute_dtype"] = "auto";  // means fp32 there
  const Finished resumed = expect_success(open_launch(settings, 1));
  EXPECT_NE(resumed.out.find("resuming from"), std::string::npos) << resumed.out;
  expect_steps(scratch / "moved", 2);
}

TEST(OnCuda, AutoKeepsTheTypeOfTheCheckpoint) {
  const Scratch scratch;
  Settings settings = one_step_done(scratch / "moved", "cpu", "auto", 1);
  settings["parallel.backend"] = "cuda";
  settings["model.compute_dtype"] = "bf16";
  expect_error(open_launch(settings, 1), 2, {"model.compute_dtype", "fp32", "bf16", "checkpoint.resume"});
  settings["model.compute_dtype"] = "auto";
  const Finished resumed = expect_success(open_launch(settings, 2));
  EXPECT_EQ(count_of(resumed.out, "note: model.compute_dtype stays fp32"), 1) << resumed.out;
  EXPECT_NE(resumed.out.find("fp32 on emulated"), std::string::npos) << resumed.out;
  expect_steps(scratch / "moved", 2);
}

TEST(OnCuda, ACheckpointIsNotContinuedInATypeThatIsNotThere) {
  const Scratch scratch;
  Settings settings = one_step_done(scratch / "moved", "cuda", "auto", 1);
  Launch old_chip = open_launch(settings, 2);
  old_chip.environment["LORA_DIST_EMULATED_CAPABILITY"] = "75";
  expect_error(old_chip, 2, {"model.compute_dtype", "bf16", "not every GPU here", "checkpoint.resume"});
  settings["parallel.backend"] = "cpu";
  expect_error(open_launch(settings, 2), 2, {"model.compute_dtype", "bf16", "the CPU computes in fp32", "parallel.backend"});
  settings["checkpoint.resume"] = "never";
  expect_success(open_launch(settings, 1));
}

}  // namespace
}  // namespace lora_dist::program::training_test
