// lora_dist score against transformers (tests/golden), on models with and without tokenizer, adapter and quantization.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/program/fixtures.h"

namespace lora_dist::program::score_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Sums of fp32 products in another order: the oracle itself moves by 4e-6 from one thread to two.
constexpr double kLogProb = 5e-5;
constexpr double kLoss = 2e-6;  // a mean over many tokens
constexpr double kTie = 1e-3;   // between the two most probable tokens

struct ScoreCase {
  std::string name;
  std::string model;
  std::string golden;  // folder with score_input.jsonl
  std::string expected;
  std::vector<std::string> options;
};

double distance(const json& ours, const json& theirs) {
  if (ours.is_null() || theirs.is_null()) {
    return ours == theirs ? 0.0 : INFINITY;
  }
  return std::fabs(ours.get<double>() - theirs.get<double>());
}

/// Largest difference of a log-probability; everything else is checked here.
double compare_row(const json& ours, const json& theirs) {
  EXPECT_EQ(ours["id"], theirs["id"]);
  EXPECT_EQ(ours["input_ids"], theirs["input_ids"]);
  EXPECT_EQ(ours["target_tokens"], theirs["target_tokens"]) << theirs["id"];
  EXPECT_LE(distance(ours["loss"], theirs["loss"]), kLoss * std::max(1.0, theirs["loss"].get<double>())) << theirs["id"];
  EXPECT_EQ(ours["logprobs"].size(), theirs["logprobs"].size());
  EXPECT_EQ(ours["argmax"].size(), theirs["argmax"].size());
  double worst = 0.0;
  for (std::size_t i = 0; i < theirs["logprobs"].size() && i < ours["logprobs"].size(); ++i) {
    worst = std::max(worst, distance(ours["logprobs"][i], theirs["logprobs"][i]));
    if (theirs["argmax_margin"][i].get<double>() > kTie) {
      EXPECT_EQ(ours["argmax"][i], theirs["argmax"][i]) << theirs["id"] << " token " << i;
    }
  }
  return worst;
}

class Score : public testing::TestWithParam<ScoreCase> {};

TEST_P(Score, GivesTheLogProbabilitiesOfTransformers) {
  const ScoreCase& c = GetParam();
  const fs::path golden = source("tests/golden") / c.golden;
  const json expected = read_json(golden / c.expected)["rows"];
  const Scratch scratch;
  for (const int ranks : {1, 3}) {
    const fs::path output = scratch / ("np" + std::to_string(ranks) + ".jsonl");
    Launch launch;
    launch.ranks = ranks;
    launch.arguments = {"score",    "--model",      source(c.model).string(), "--input", (golden / "score_input.jsonl").string(),
                        "--output", output.string()};
    launch.arguments.insert(launch.arguments.end(), c.options.begin(), c.options.end());
    expect_success(launch);
    const std::vector<json> rows = read_lines(output);
    ASSERT_EQ(rows.size(), expected.size());
    double worst = 0.0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      worst = std::max(worst, compare_row(rows[i], expected[i]));
    }
    EXPECT_LE(worst, kLogProb);
    std::printf("%s np %d: largest difference of a log-probability %.2e\n", c.name.c_str(), ranks, worst);
  }
}

std::string adapter_of(const std::string& model) { return source(model + "/adapter").string(); }

const std::string kBias = "tests/golden/tiny_llama_bias";
const std::string kHeadDim = "tests/golden/tiny_llama_head_dim";

INSTANTIATE_TEST_SUITE_P(
    Models, Score,
    testing::Values(
        ScoreCase{"Stories", "demo/model", "stories260k", "logprobs_fp32.json", {}},
        ScoreCase{
            "StoriesNf4", "demo/model", "stories260k", "logprobs_nf4.json", {"--quantization", "nf4", "--double-quant", "false"}},
        ScoreCase{"StoriesNf4Double", "demo/model", "stories260k", "logprobs_nf4_double.json", {"--quantization", "nf4"}},
        ScoreCase{"Bias", kBias, "tiny_llama_bias", "logprobs_fp32.json", {}},
        ScoreCase{"BiasAdapter", kBias, "tiny_llama_bias", "logprobs_fp32_adapter.json", {"--adapter", adapter_of(kBias)}},
        ScoreCase{"HeadDimAdapter",
                  kHeadDim,
                  "tiny_llama_head_dim",
                  "logprobs_fp32_adapter.json",
                  {"--adapter", adapter_of(kHeadDim)}}),
    [](const auto& info) { return info.param.name; });

/// The sum over story0.txt that the reference program printed, from text through the tokenizer.
TEST(ScoreText, TokenizesAndGivesTheLossOfTheReference) {
  const Scratch scratch;
  const json reference = read_json(source("tests/golden/stories260k/reference_run_c.json"))["teacher_forced"];
  put_file(scratch / "in.jsonl",
           json({{"id", "story"}, {"text", get_file(source("tests/golden/stories260k/story0.txt"))}}).dump() + "\n");
  Launch launch;
  launch.arguments = {"score",
                      "--model",
                      source("demo/model").string(),
                      "--input",
                      (scratch / "in.jsonl").string(),
                      "--output",
                      (scratch / "out.jsonl").string()};
  expect_success(launch);
  const std::vector<json> rows = read_lines(scratch / "out.jsonl");
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["input_ids"], reference["ids"]);
  EXPECT_NEAR(rows[0]["loss"].get<double>(), 1.287848, 2e-6);
}

/// A label need not be the next id: the loss is that of the label.
TEST(ScoreText, CountsLabelsThatAreNotTheNextId) {
  const Scratch scratch;
  put_file(scratch / "in.jsonl",
           "{\"id\":\"next\",\"input_ids\":[1,403,407],\"labels\":[-100,-100,407]}\n"
           "{\"id\":\"other\",\"input_ids\":[1,403,407],\"labels\":[-100,-100,261]}\n"
           "{\"id\":\"as ids\",\"input_ids\":[1,403,261]}\n"
           "{\"id\":\"none\",\"input_ids\":[1,403,261],\"labels\":[-100,-100,-100]}\n");
  Launch launch;
  launch.ranks = 2;
  launch.arguments = {"score",
                      "--model",
                      source("demo/model").string(),
                      "--input",
                      (scratch / "in.jsonl").string(),
                      "--output",
                      (scratch / "out.jsonl").string()};
  expect_success(launch);
  const std::vector<json> rows = read_lines(scratch / "out.jsonl");
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_NEAR(rows[0]["loss"].get<double>(), -rows[0]["logprobs"][2].get<double>(), 1e-7);
  EXPECT_NEAR(rows[1]["loss"].get<double>(), -rows[2]["logprobs"][2].get<double>(), 1e-5);
  EXPECT_EQ(rows[1]["target_tokens"], 1);
  EXPECT_TRUE(rows[3]["loss"].is_null());
}

/// A rotation of type dynamic would change beyond the model's positions.
TEST(ScoreText, RefusesLinesBeyondThePositionsOfADynamicRotation) {
  const Scratch scratch;
  put_file(scratch / "in.jsonl", json({{"id", "long"}, {"input_ids", std::vector<int>(129, 5)}}).dump() + "\n");
  Launch launch;
  launch.arguments = {"score",
                      "--model",
                      source("tests/golden/families/internlm3").string(),
                      "--input",
                      (scratch / "in.jsonl").string(),
                      "--output",
                      (scratch / "out.jsonl").string()};
  const Finished finished = run_program(launch);
  EXPECT_EQ(finished.exit_code, 3) << finished.out << finished.err;
  EXPECT_NE(finished.err.find("the line has 129 tokens, the model only 128 positions; shorten it"), std::string::npos)
      << finished.err;
}

}  // namespace
}  // namespace lora_dist::program::score_test
