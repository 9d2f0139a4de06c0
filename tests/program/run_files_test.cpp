// The files in output.dir of a run, repeated, and continued.
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <set>

#include "tests/program/fixtures.h"

namespace lora_dist::program::run_files_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::vector<std::string> keys_of(const json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) {
    keys.push_back(key);
  }
  return keys;  // in the order of the alphabet
}

Settings evaluated_run(const fs::path& output) {
  Settings settings = short_run(output);
  settings["data.validation_split"] = "0.1";
  settings["eval.every"] = "4";
  settings["checkpoint.every"] = "3";
  settings["checkpoint.keep"] = "2";
  return settings;
}

TEST(RunFiles, MetricsHaveTheFieldsOfTheManual) {
  const Scratch scratch;
  expect_success(launch_of(evaluated_run(scratch / "out"), 2));
  const std::vector<json> lines = read_lines(scratch / "out/metrics.jsonl");
  ASSERT_EQ(lines.size(), 10U);
  for (const json& line : lines) {
    EXPECT_EQ(keys_of(line), (std::vector<std::string>{"checkpoint", "epoch", "grad_norm", "learning_rate", "loss",
                                                       "memory_peak_bytes", "seconds", "slowest_rank", "slowest_ratio", "step",
                                                       "target_tokens", "tokens", "tokens_per_second", "waited", "wire_bytes"}));
    EXPECT_EQ(keys_of(line["wire_bytes"]),
              (std::vector<std::string>{"adapter_gradient", "base_gather", "control", "tensor_activation"}));
    EXPECT_GT(line["loss"].get<double>(), 0.0);
    EXPECT_GT(line["grad_norm"].get<double>(), 0.0);
    EXPECT_GT(line["tokens"].get<std::int64_t>(), line["target_tokens"].get<std::int64_t>());
    EXPECT_GT(line["seconds"].get<double>(), 0.0);
    EXPECT_NEAR(line["tokens_per_second"].get<double>() * line["seconds"].get<double>(), line["tokens"].get<double>(), 1e-6);
    EXPECT_GT(line["memory_peak_bytes"].get<std::int64_t>(), 1 << 20);
    // 23120 factors (r 4, all linear, five layers) as 64-bit numbers, from each of two ranks
    EXPECT_EQ(line["wire_bytes"]["adapter_gradient"], 2 * 8 * 23120);
    EXPECT_GT(line["wire_bytes"]["base_gather"].get<std::int64_t>(), 0);
    EXPECT_GT(line["wire_bytes"]["control"].get<std::int64_t>(), 0);
    EXPECT_EQ(line["wire_bytes"]["tensor_activation"], 0);
    EXPECT_EQ(keys_of(line["waited"]), (std::vector<std::string>{"adapter_gradient", "base_gather", "gathers_hidden"}));
    EXPECT_GT(line["waited"]["adapter_gradient"].get<double>(), 0.0);
    EXPECT_GT(line["waited"]["base_gather"].get<double>(), 0.0);
    EXPECT_GE(line["waited"]["gathers_hidden"].get<double>(), 0.0);
    EXPECT_LE(line["waited"]["gathers_hidden"].get<double>(), 1.0);
  }
  const std::vector<json> evaluations = read_lines(scratch / "out/eval.jsonl");
  EXPECT_EQ(column(evaluations, "step"), (std::vector<json>{0, 4, 8, 10}));
  for (const json& line : evaluations) {
    EXPECT_EQ(keys_of(line),
              (std::vector<std::string>{"best", "epoch", "loss", "perplexity", "samples", "seconds", "step", "target_tokens"}));
    EXPECT_NEAR(line["perplexity"].get<double>(), std::exp(line["loss"].get<double>()), 1e-9);
    EXPECT_EQ(line["samples"], 8);
  }
}

TEST(RunFiles, OneRankSendsNothing) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["train.max_steps"] = "2";
  const Finished finished = expect_success(launch_of(settings, 0));
  EXPECT_EQ(finished.out.find("\ngathers "), std::string::npos) << finished.out;
  for (const json& line : read_lines(scratch / "out/metrics.jsonl")) {
    EXPECT_EQ(line["wire_bytes"]["base_gather"], 0);
    EXPECT_EQ(line["waited"]["gathers_hidden"], nullptr);
  }
}

TEST(RunFiles, AreThoseOfTheManual) {
  const Scratch scratch;
  const Finished finished = expect_success(launch_of(evaluated_run(scratch / "out"), 2));
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(scratch / "out")) {
    names.insert(entry.path().filename().string());
  }
  EXPECT_EQ(names, (std::set<std::string>{"adapter", "adapter_best", "checkpoints", "config.resolved.toml", "eval.jsonl",
                                          "metrics.jsonl", "tensorboard", "token_cache"}));
  EXPECT_EQ(checkpoints_of(scratch / "out"), (std::vector<std::string>{"step_00000009", "step_00000010"}));
  for (const char* file : {"shard_00000.h5", "shard_00001.h5", "MANIFEST.json"}) {
    EXPECT_TRUE(fs::exists(scratch / "out/checkpoints/step_00000010" / file)) << file;
  }
  for (const char* word : {"memory per rank by kind", "trainable params: 23,120", "evaluation at step 4", "base ", "tuned ",
                           "tok/s", "\ngathers    "}) {
    EXPECT_NE(finished.out.find(word), std::string::npos) << word << "\n" << finished.out;
  }
}

/// config.resolved.toml is itself a configuration, and gives the same run.
TEST(RunFiles, TheResolvedConfigurationRunsAgain) {
  const Scratch scratch;
  expect_success(launch_of(evaluated_run(scratch / "out"), 1));
  Launch again;
  again.arguments = {"--cfg", (scratch / "out/config.resolved.toml").string(), "--set",
                     "output.dir=" + (scratch / "again").string()};
  expect_success(again);
  expect_same_training(scratch / "again", scratch / "out");
}

TEST(RunFiles, ACompleteRunIsLeftAlone) {
  const Scratch scratch;
  expect_success(launch_of(evaluated_run(scratch / "out"), 2));
  const auto before = digests_below(scratch / "out");
  for (const int ranks : {1, 3}) {
    const Finished again = expect_success(launch_of(evaluated_run(scratch / "out"), ranks));
    EXPECT_EQ(count_of(again.out, "this run is complete: 10 of 10 steps are done"), 1) << again.out;
    EXPECT_EQ(digests_below(scratch / "out"), before);
  }
}

TEST(RunFiles, MoreStepsGoOnWhereTheRunEnded) {
  const Scratch scratch;
  Settings settings = evaluated_run(scratch / "out");
  settings["train.schedule"] = "constant";
  settings["train.warmup_ratio"] = "0";
  settings["train.max_steps"] = "6";
  expect_success(launch_of(settings, 2));
  settings["train.max_steps"] = "10";
  settings["eval.every"] = "5";  // logging, evaluation and checkpoints may change
  settings["checkpoint.every"] = "2";
  settings["output.log_every"] = "5";
  expect_success(launch_of(settings, 1));
  expect_steps(scratch / "out", 10);
  settings["output.dir"] = (scratch / "straight").string();
  expect_success(launch_of(settings, 1));
  expect_same_training(scratch / "out", scratch / "straight");
}

TEST(RunFiles, AnotherMicroBatchIsAllowedWithANote) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["train.max_steps"] = "3";
  expect_success(launch_of(settings, 1));
  settings["train.max_steps"] = "5";
  settings["train.micro_batch"] = "3";
  const Finished resumed = expect_success(launch_of(settings, 2));
  EXPECT_EQ(count_of(resumed.out, "note: train.micro_batch was 2 and is now 3; the last bits may differ"), 1) << resumed.out;
  expect_steps(scratch / "out", 5);
}

TEST(RunFiles, OneJobAtATimeInAFolder) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["train.max_steps"] = "100000";
  Launch first = launch_of(settings, 2);
  first.when = "loss ";
  first.act = [&](const RunningJob& job) {
    expect_error_on_1_and_3_ranks(launch_of(settings, 0), 2,
                                  {(scratch / "out").string(), "another job is writing to this folder"});
    kill(job.launcher, SIGUSR1);
  };
  EXPECT_EQ(run_program(first).exit_code, 75);  // it was not disturbed
}

/// A fresh start in a folder that holds an older run: its lines go, and what is resumed later is the new run.
TEST(RunFiles, AFreshStartInAUsedFolder) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  expect_success(launch_of(settings, 1));
  settings["checkpoint.resume"] = "never";
  settings["train.max_steps"] = "4";
  settings["train.seed"] = "43";
  expect_success(launch_of(settings, 2));
  expect_steps(scratch / "out", 4);
  settings["checkpoint.resume"] = "auto";
  const Finished again = expect_success(launch_of(settings, 1));
  EXPECT_EQ(count_of(again.out, "this run is complete: 4 of 4 steps are done"), 1) << again.out;
  EXPECT_EQ(checkpoints_of(scratch / "out"), (std::vector<std::string>{"step_00000002", "step_00000004"}));
  EXPECT_TRUE(fs::exists(scratch / "out/checkpoints_set_aside_1/step_00000010/MANIFEST.json"));
}

TEST(RunFiles, AWarmupThatTakesAGoodPartOfTheStepsIsWarnedOf) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["train.max_steps"] = "1";
  settings["train.warmup_ratio"] = "0.03";
  Finished run = expect_success(launch_of(settings, 2));
  EXPECT_EQ(count_of(run.err,
                     "warning: 1 of 1 training step has learning rate 0 or nearly so, since the warm-up takes 1: nothing will be "
                     "learnt; set train.warmup_ratio = 0, or train for more steps"),
            1)
      << run.err;
  settings["output.dir"] = (scratch / "without").string();
  settings["train.warmup_ratio"] = "0";
  run = expect_success(launch_of(settings, 1));
  EXPECT_EQ(count_of(run.err, "learning rate 0"), 0) << run.err;
  settings["output.dir"] = (scratch / "no_rate").string();
  settings["train.learning_rate"] = "0";
  run = expect_success(launch_of(settings, 1));
  EXPECT_EQ(count_of(run.err, "warning: train.learning_rate is 0: nothing will be learnt"), 1) << run.err;
}

}  // namespace
}  // namespace lora_dist::program::run_files_test
