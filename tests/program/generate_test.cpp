// lora_dist generate: the reference's greedy ids, and sampling that a seed repeats, on one rank and on two.
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Launch generate(int ranks, const std::vector<std::string>& options) {
  Launch launch;
  launch.ranks = ranks;
  launch.arguments = {"generate", "--model", source("demo/model").string()};
  launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
  return launch;
}

TEST(Generate, GreedyIdsAreThoseOfTheReferenceOnOneAndTwoRanks) {
  const json reference = read_json(source("tests/golden/stories260k/reference_run_c.json"))["greedy_from_bos"]["ids"];
  ASSERT_EQ(reference.size(), 257U);  // BOS and 256 more
  const Scratch scratch;
  put_file(scratch / "in.jsonl", "{\"id\":\"bos\",\"input_ids\":[1]}\n");
  for (const int ranks : {1, 2}) {
    const fs::path output = scratch / std::to_string(ranks);
    expect_success(
        generate(ranks, {"--input", (scratch / "in.jsonl").string(), "--output", output.string(), "--max-new-tokens", "256"}));
    const std::vector<json> lines = read_lines(output);
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0]["id"], "bos");
    EXPECT_EQ(lines[0]["output_ids"], json(std::vector<int>(reference.begin() + 1, reference.end())));
  }
}

TEST(Generate, PrintsThePromptAndItsContinuation) {
  const Finished finished = expect_success(generate(2, {"--prompt", "Once upon a time", "--max-new-tokens", "20"}));
  EXPECT_TRUE(finished.out.starts_with("Once upon a time")) << finished.out;
  EXPECT_GT(finished.out.size(), std::string("Once upon a time").size() + 10) << finished.out;
  EXPECT_EQ(count_of(finished.out, "Once upon a time"), 1) << finished.out;
}

TEST(Generate, SamplesAreRepeatedByTheirSeedOnAnyRanks) {
  const auto sample = [](int ranks, const char* seed) {
    return expect_success(generate(ranks, {"--prompt", "Once upon a time", "--max-new-tokens", "40", "--temperature", "1",
                                           "--top-p", "0.9", "--top-k", "50", "--seed", seed}))
        .out;
  };
  const std::string text = sample(1, "7");
  EXPECT_EQ(sample(1, "7"), text);
  EXPECT_EQ(sample(2, "7"), text);
  EXPECT_NE(sample(1, "8"), text);
}

/// B of a PEFT adapter is zero before training: the same answers; one that was trained: others.
TEST(Generate, TakesAnAdapter) {
  const fs::path golden = source("tests/golden/lora_steps");
  const auto answer = [](const std::vector<std::string>& more) {
    std::vector<std::string> options = {"--prompt", "Tom", "--max-new-tokens", "60"};
    options.insert(options.end(), more.begin(), more.end());
    return expect_success(generate(1, options)).out;
  };
  const std::string base = answer({});
  EXPECT_EQ(answer({"--adapter", (golden / "init_all_linear").string()}), base);
  EXPECT_NE(answer({"--adapter", (golden / "fp32_all_linear/final").string()}), base);
}

TEST(Generate, AnswersTextPromptsOfAFile) {
  const Scratch scratch;
  put_file(scratch / "in.jsonl", "{\"prompt\":\"Once upon a time\"}\n\n{\"id\":\"b\",\"text\":\"Tom and\"}\n");
  const Finished finished = expect_success(generate(2, {"--input", (scratch / "in.jsonl").string(), "--max-new-tokens", "5"}));
  put_file(scratch / "out.jsonl", finished.out);
  const std::vector<json> lines = read_lines(scratch / "out.jsonl");
  ASSERT_EQ(lines.size(), 2U) << finished.out;
  EXPECT_EQ(lines[0]["id"], 1);
  EXPECT_EQ(lines[0]["prompt"], "Once upon a time");
  EXPECT_EQ(lines[0]["output_ids"].size(), 5U);
  EXPECT_EQ(lines[1]["id"], "b");
  EXPECT_TRUE(lines[1]["text"].is_string());
}

}  // namespace
}  // namespace lora_dist::program
