// lora_dist merge as a user calls it: a folder that scores like base and adapter, and what it refuses.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/program/fixtures.h"

namespace lora_dist::program {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Launch merge_of(const std::vector<std::string>& options, int ranks) {
  Launch launch;
  launch.ranks = ranks;
  launch.arguments = {"merge"};
  launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
  return launch;
}

std::vector<json> scores_of_story(const std::vector<std::string>& model, const fs::path& output) {
  return scores_of(model, source("tests/golden/stories260k/score_input.jsonl"), output);
}

/// Trained on NF4: merged onto dequantized weights it is the same model; onto the files' it is another (a failure of peers).
TEST(Merge, OntoDequantizedWeightsIsTheModelThatWasTrained) {
  const Scratch scratch;
  const std::string model = source("demo/model").string();
  const std::string adapter = source("tests/golden/lora_steps/nf4_double_all_linear/final").string();
  const std::vector<json> trained =
      scores_of_story({"--model", model, "--adapter", adapter, "--quantization", "nf4"}, scratch / "trained.jsonl");
  for (const int ranks : {1, 2}) {
    const fs::path output = scratch / ("merged" + std::to_string(ranks));
    expect_success(merge_of({"--model", model, "--adapter", adapter, "--output", output.string()}, ranks));
    // fp32 files: only the order of sums differs from base and adapter side by side
    EXPECT_LE(largest_change(trained, scores_of_story({"--model", output.string()}, scratch / "merged.jsonl")), 5e-5);
  }
  EXPECT_EQ(digests_below(scratch / "merged1"), digests_below(scratch / "merged2"));
  const fs::path full = scratch / "full";
  expect_success(merge_of({"--model", model, "--adapter", adapter, "--output", full.string(), "--onto", "full"}, 1));
  EXPECT_GE(largest_change(trained, scores_of_story({"--model", full.string()}, scratch / "full.jsonl")), 1e-2);
}

TEST(Merge, ComparesBothWaysOnAText) {
  const Scratch scratch;
  const fs::path output = scratch / "merged";
  const Finished run =
      expect_success(merge_of({"--model", source("demo/model").string(), "--adapter",
                               source("tests/golden/lora_steps/nf4_double_all_linear/final").string(), "--output",
                               output.string(), "--text", source("tests/golden/stories260k/score_input.jsonl").string()},
                              2));
  EXPECT_EQ(count_of(run.out, "onto full precision"), 1) << run.out;
  const json report = read_json(output / "lora_dist_merge.json");
  const json& rows = report["text"];
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_LE(rows[1]["largest_log_prob_change"].get<double>(), 5e-5);
  EXPECT_GE(rows[2]["largest_log_prob_change"].get<double>(), 1e-2);
  EXPECT_NEAR(rows[1]["perplexity"].get<double>(), rows[0]["perplexity"].get<double>(), 1e-4);
  EXPECT_GT(report["weights"]["norm_of_dequantized_minus_full"].get<double>(), 0.0);
  for (const fs::directory_entry& left : fs::directory_iterator(scratch.path())) {
    EXPECT_EQ(left.path().filename(), "merged");  // the other way's folder is gone
  }
}

TEST(Merge, KeepsTheFolderAsItIsButForTheWeights) {
  const Scratch scratch;
  const fs::path output = scratch / "merged";
  const std::string model = source("tests/golden/tiny_llama_bias").string();
  expect_success(merge_of({"--model", model, "--adapter", model + "/adapter", "--output", output.string()}, 1));
  for (const char* name : {"config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"}) {
    EXPECT_TRUE(fs::exists(output / name)) << name;
  }
  expect_error(merge_of({"--model", model, "--adapter", model + "/adapter", "--output", output.string()}, 1), 2,
               {"--output " + output.string() + " is already there; name a new folder"});
}

TEST(Merge, SaysWhatItCannotMerge) {
  const Scratch scratch;
  const std::string model = source("demo/model").string();
  const std::string out = (scratch / "out").string();
  expect_error_on_1_and_3_ranks(
      merge_of({"--model", model, "--adapter", source("tests/golden/tiny_llama_bias/adapter").string(), "--output", out}, 1), 4,
      {"the adapter belongs to another model"});
  expect_error(merge_of({"--model", model, "--adapter", "nowhere=x", "--output", out}, 1), 2,
               {"what follows = must be a number"});
  expect_error(merge_of({"--model", model, "--adapter", "nowhere", "--output", out}, 1), 4,
               {"the adapter nowhere is not a folder"});
  expect_error(merge_of({"--model", model}, 1), 2, {"merge needs --adapter DIR and --output DIR"});
  expect_error(merge_of({"--model", model, "--adapter", "a", "--output", out, "--onto", "both"}, 1), 2,
               {"--onto must be one of dequantized, full (got both)"});
  EXPECT_FALSE(fs::exists(out));
}

}  // namespace
}  // namespace lora_dist::program
