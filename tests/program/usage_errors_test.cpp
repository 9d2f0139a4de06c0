// Errors of command line and configuration: exit code 2, one sentence, on any number of ranks.
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program::usage_errors_test {
namespace {

namespace fs = std::filesystem;

Launch command(const std::vector<std::string>& arguments, const fs::path& folder = {}) {
  Launch launch;
  launch.arguments = arguments;
  launch.folder = folder;
  return launch;
}

void expect_usage_error(const std::vector<std::string>& arguments, const std::vector<std::string>& texts) {
  expect_error(command(arguments), 2, texts);
}

TEST(UsageErrors, CommandsAndOptions) {
  expect_error_on_1_and_3_ranks(command({"trian"}), 2, {"unknown command trian; the nearest is train"});
  expect_error_on_1_and_3_ranks(command({"train", "--confg", "x"}), 2, {"train has no option --confg; the nearest is --cfg"});
  expect_usage_error({}, {"train needs a configuration: --cfg FILE"});
  expect_usage_error({"score"}, {"score needs --model DIR, --input FILE and --output FILE"});
  expect_usage_error({"score", "--model", "x"}, {"score needs --input FILE and --output FILE"});
  expect_usage_error({"score", "--model", "x", "--input", "a", "--output", "b", "--quantization", "q4"},
                     {"--quantization must be one of none, nf4, fp4, int8 (got q4)"});
  expect_usage_error({"generate", "--model", "x"}, {"generate needs either --prompt TEXT or --input FILE"});
  expect_usage_error({"generate", "--model", "x", "--prompt", "a", "--output", "b"}, {"--output goes with --input"});
  expect_usage_error({"generate", "--model", "x", "--prompt", "a", "--temperature", "-1"},
                     {"--temperature must be at least 0 (got -1)"});
  expect_usage_error({"inspect"}, {"inspect needs the path"});
}

/// Rank 1 finds a fault where rank 0 finds none: the job ends, and says whose it is.
TEST(UsageErrors, OfOneRankEndTheJob) {
  const Scratch scratch;
  put_file(scratch / "a.toml", "[adapter]\nr = 4\n");
  const std::string file = (scratch / "a.toml").string();
  Launch launch = command({"--cfg", file, "--print-config", ":", "-np", "1", LORA_DIST_PROGRAM, "--confg", file});
  launch.ranks = 1;
  expect_error(launch, 2, {"rank 1: train has no option --confg"});
}

TEST(UsageErrors, ConfigurationFiles) {
  const Scratch scratch;
  put_file(scratch / "range.toml", "[adapter]\nr = 0\n");
  put_file(scratch / "key.toml", "[model]\npath = \"x\"\n\n[train]\nlearing_rate = 1e-4\n");
  put_file(scratch / "section.toml", "[adaptor]\nr = 8\n");
  put_file(scratch / "kind.toml", "[train]\nglobal_batch = \"many\"\n");
  put_file(scratch / "syntax.toml", "[train\n");
  put_file(scratch / "empty.toml", "");
  const auto with = [&](const char* file) { return command({"--cfg", file}, scratch.path()); };
  expect_error_on_1_and_3_ranks(with("range.toml"), 2, {"range.toml:2: adapter.r must be at least 1 (got 0)"});
  expect_error_on_1_and_3_ranks(with("key.toml"), 2,
                                {"key.toml:5: unknown key train.learing_rate; the nearest known key is train.learning_rate"});
  expect_error(with("section.toml"), 2, {"section.toml:2: unknown section [adaptor]; the nearest known section is [adapter]"});
  expect_error(with("kind.toml"), 2, {"kind.toml:2: train.global_batch"});
  expect_error(with("syntax.toml"), 2, {"syntax.toml:1"});
  expect_error(with("none.toml"), 2, {"--cfg none.toml: there is no such file"});
  expect_error(with("empty.toml"), 2, {"model.path is not set"});
}

TEST(UsageErrors, Settings) {
  expect_error_on_1_and_3_ranks(command({"--set", "adapter.r=-1"}), 2,
                                {"--set adapter.r=-1: adapter.r must be at least 1 (got -1)"});
  expect_usage_error({"--set", "adapter.rr=1"}, {"unknown key adapter.rr; the nearest known key is adapter.r"});
  expect_usage_error({"--set", "train.schedule=cosin"}, {"train.schedule", "cosin", "cosine"});
  expect_usage_error({"--set", "model.path"}, {"must be written --set section.key=value"});
  expect_usage_error({"--set", "model.path=x"}, {"data.train is not set"});
}

TEST(UsageErrors, WhatIsNotBuiltIsRefusedByName) {
  const std::map<std::string, std::string> settings = {
      {"train.optimizer", "lion"}, {"train.deterministic", "false"}, {"eval.metrics", "[\"rouge\"]"}};
  for (const auto& [key, value] : settings) {
    expect_usage_error({"--set", key + "=" + value}, {key, "not built yet"});
  }
  expect_error_on_1_and_3_ranks(command({"--set", "train.optimizer=lion"}), 2, {"train.optimizer", "adamw", "not built yet"});
}

TEST(UsageErrors, TargetModulesThatMatchNothing) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["adapter.target_modules"] = "[\"q_proj\",\"query\"]";
  expect_error_on_1_and_3_ranks(launch_of(settings, 1), 2, {"adapter.target_modules", "\"query\"", "q_proj"});
  EXPECT_FALSE(fs::exists(scratch / "out"));
}

TEST(UsageErrors, OutputFolderThatCannotBeMade) {
  const Scratch scratch;
  put_file(scratch / "file", "a file");
  Settings settings = short_run(scratch / "file/out");
  expect_error_on_1_and_3_ranks(launch_of(settings, 1), 2, {(scratch / "file/out").string(), "output.dir"});
  settings["output.dir"] = "/proc/lora_dist";  // not even root may
  expect_error(launch_of(settings, 0), 2, {"/proc/lora_dist", "output.dir"});

  put_file(scratch / "in.jsonl", "{\"input_ids\":[1,2]}\n");
  for (const int ranks : {1, 3}) {
    Launch score = command({"score", "--model", source("demo/model").string(), "--input", (scratch / "in.jsonl").string(),
                            "--output", (scratch / "file/out.jsonl").string()});
    score.ranks = ranks;
    expect_error(score, 2, {"file/out.jsonl", "--output"});
  }
  expect_error(command({"generate", "--model", source("demo/model").string(), "--input", (scratch / "in.jsonl").string(),
                        "--output", (scratch / "file/out.jsonl").string(), "--max-new-tokens", "2"}),
               2, {"file", "Not a directory"});
}

/// What is not an error is printed once too, by the first rank.
TEST(Prints, TheSameOnceOnAnyNumberOfRanks) {
  const Scratch scratch;
  put_file(scratch / "a.toml", "[adapter]\nr = 4\n");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--help"}, {"--version"}, {"train", "--help"}, {"--cfg", "a.toml", "--print-config"}}) {
    Launch launch = command(arguments, scratch.path());
    const std::string alone = expect_success(launch).out;
    EXPECT_FALSE(alone.empty());
    launch.ranks = 3;
    EXPECT_EQ(expect_success(launch).out, alone) << arguments[0];
  }
}

}  // namespace
}  // namespace lora_dist::program::usage_errors_test
