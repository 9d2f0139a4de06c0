// The command line of gpu_step_benchmark: selected rows, and errors.
#include "benchmarks/step_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/core/error.h"

namespace lora_dist::benchmarks::step_options_test {
namespace {

using testing::HasSubstr;

StepBenchOptions parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "gpu_step_benchmark");
  return parse_step_options(static_cast<int>(arguments.size()), arguments.data());
}

std::string refused(const std::vector<const char*>& arguments) {
  try {
    parse(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "accepted";
}

TEST(StepOptions, OneRowUnlessAllAreAskedFor) {
  const StepBenchOptions one = parse({});
  ASSERT_EQ(one.cases.size(), 1U);
  EXPECT_EQ(one.cases[0].shape, "llama-3.1-8b");
  EXPECT_EQ(one.cases[0].spec.layers, 32);
  EXPECT_EQ(one.product_size, 8192);
  EXPECT_EQ(one.sequence_length, 2048);
  EXPECT_EQ(parse({"--backend", "cpu"}).product_size, 1024);
}

TEST(StepOptions, AllGoesFromTheSmallestNeedOfMemoryToTheLargest) {
  const StepBenchOptions all = parse({"--all"});
  ASSERT_EQ(all.cases.size(), 5U * 2U * 3U);
  EXPECT_EQ(all.cases.front().shape, "qwen3-0.6b");
  EXPECT_EQ(all.cases.front().base, Quantization::nf4);
  EXPECT_EQ(all.cases.front().recompute, Recompute::block);
  EXPECT_EQ(all.cases.back().shape, "llama-3.1-8b");
  EXPECT_EQ(all.cases.back().base, Quantization::none);
  EXPECT_EQ(all.cases.back().recompute, Recompute::none);
  EXPECT_EQ(parse({"--all", "--shape", "tiny", "--base", "nf4"}).cases.size(), 3U);
}

TEST(StepOptions, TakesAConfigJson) {
  const std::string file = std::string(LORA_DIST_SOURCE_DIR) + "/benchmarks/shapes/qwen3-4b/config.json";
  const StepBenchOptions options = parse({"--config", file.c_str()});
  EXPECT_EQ(options.cases.at(0).shape, "qwen3-4b");
  EXPECT_TRUE(options.cases.at(0).spec.tied_head);
  EXPECT_EQ(options.cases.at(0).spec.query_width(), 4096);
}

TEST(StepOptions, RefusesWhatMakesNoSense) {
  EXPECT_THAT(refused({"--shape", "llama"}), HasSubstr("--shape llama: it is one of tiny, qwen3-0.6b"));
  EXPECT_THAT(refused({"--base", "int8"}), HasSubstr("--base int8: it is one of nf4, bf16"));
  EXPECT_THAT(refused({"--recompute", "some"}), HasSubstr("--recompute some: it is one of block, selective, none"));
  EXPECT_THAT(refused({"--backend", "gpu"}), HasSubstr("--backend gpu: it is one of cuda, cpu"));
  EXPECT_THAT(refused({"--steps", "0"}), HasSubstr("are 1 or more (got 0)"));
  EXPECT_THAT(refused({"--shape", "tiny", "--sequence-length", "5000"}), HasSubstr("tiny has only 4096 positions"));
  EXPECT_THAT(refused({"--config", "model.json"}), HasSubstr("must be called config.json"));
  const std::string biased = std::string(LORA_DIST_SOURCE_DIR) + "/tests/golden/tiny_llama_bias/config.json";
  EXPECT_THAT(refused({"--config", biased.c_str(), "--sequence-length", "8"}), HasSubstr("has biases"));
  EXPECT_THAT(refused({"--config", "config.json", "--shape", "tiny"}), HasSubstr("give one of them"));
  EXPECT_THAT(refused({"--model", "x"}), HasSubstr("--help lists the options"));
}

}  // namespace
}  // namespace lora_dist::benchmarks::step_options_test
