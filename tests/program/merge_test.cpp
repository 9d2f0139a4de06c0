// lora_dist merge: the merged folder scores like base and adapter, and errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "src/io/safetensors.h"
#include "tests/program/fixtures.h"
#include "tests/support/bare_names.h"

namespace lora_dist::program::merge_test {
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

/// The largest difference of log-probabilities between scores and what a golden.json has, row by row from the second token on.
double largest_difference(const std::vector<json>& scores, const json& expected) {
  EXPECT_EQ(scores.size(), expected.size());
  double largest = 0.0;
  for (std::size_t row = 0; row < std::min(scores.size(), expected.size()); ++row) {
    EXPECT_EQ(scores[row]["logprobs"].size(), expected[row].size() + 1);
    for (std::size_t i = 0; i < expected[row].size(); ++i) {
      const double ours = scores[row]["logprobs"].at(i + 1).get<double>();
      largest = std::max(largest, std::fabs(ours - expected[row][i].get<double>()));
    }
  }
  return largest;
}

/// Adapters on some of a block's linears: the others are what training held too. Against PEFT on a base whose every block linear
/// went through bitsandbytes' NF4 and back; files in fp32, so that nothing is rounded besides.
TEST(Merge, OntoDequantizedWeightsHoldsTheLinearsThatAreNotAdaptedAsWell) {
  for (const std::string folder : {"tests/golden/families/qwen2_window", "tests/golden/families/gpt2"}) {
    const Scratch scratch;
    const std::string model = source(folder).string();
    const json expected = read_json(source(folder) / "golden.json")["nf4"]["logprobs_adapted"];
    const std::string rows = put_golden_rows(scratch, folder).string();
    const auto report_of_merging = [&](const std::string& onto, int ranks) {
      expect_success(merge_of({"--model", model, "--adapter", model + "/adapter_nf4", "--double-quant", "false", "--onto", onto,
                               "--output", (scratch / onto).string(), "--text", rows},
                              ranks));
      return read_json(scratch / onto / "lora_dist_merge.json");
    };
    const auto difference_of = [&](const std::string& onto) {
      return largest_difference(scores_of({"--model", (scratch / onto).string()}, rows, scratch / "scores.jsonl"), expected);
    };
    const json dequantized = report_of_merging("dequantized", 2);
    EXPECT_LE(difference_of("dequantized"), 5e-5) << folder;  // rounding of fp32 over two or three layers
    EXPECT_LE(dequantized["text"][1]["largest_log_prob_change"].get<double>(), 5e-5);
    EXPECT_GT(dequantized["weights"]["dequantized_besides"], 0);
    const json full = report_of_merging("full", 1);
    EXPECT_GE(difference_of("full"), 1e-2) << folder;
    EXPECT_EQ(full["weights"]["dequantized_besides"], 0);
    EXPECT_EQ(full["weights"]["norm_of_dequantized_minus_full"], dequantized["weights"]["norm_of_dequantized_minus_full"]);
    EXPECT_EQ(full["text"], dequantized["text"]);  // both ways, whichever was asked for
  }
}

/// The same for the other formats, and with double quantization: merged it is what scores with base and adapter side by side.
TEST(Merge, OntoDequantizedWeightsOfEveryFormatWithAnAdapterOfTwoLinears) {
  const Scratch scratch;
  const std::string model = source("demo/model").string();
  const std::string adapter = source("tests/golden/lora_steps/fp32_qv/final").string();
  for (const std::string format : {"nf4", "fp4", "int8"}) {
    const std::string merged = (scratch / format).string();
    const Finished run =
        expect_success(merge_of({"--model", model, "--adapter", adapter, "--quantization", format, "--output", merged}, 1));
    EXPECT_EQ(count_of(run.out, "10 weights merged, 25 more written as the quantized base held them."), 1) << run.out;
    const std::vector<json> trained =
        scores_of_story({"--model", model, "--adapter", adapter, "--quantization", format}, scratch / "trained.jsonl");
    EXPECT_LE(largest_change(trained, scores_of_story({"--model", merged}, scratch / "merged.jsonl")), 5e-5) << format;
  }
}

/// A model saved without its head ("layers.0..." for "model.layers.0..."), in floats and quantized by bitsandbytes.
TEST(Merge, AFolderWhoseTensorsLackThePrefix) {
  const Scratch scratch;
  for (const std::string name : {"families/qwen2_window", "families/gpt_neox_serial", "prequantized/llama_nf4_nested"}) {
    const std::string folder = "tests/golden/" + name;
    const std::string prefix = name == "families/gpt_neox_serial" ? "gpt_neox." : "model.";
    const std::string rows = put_golden_rows(scratch, folder).string();
    const std::string bare = (scratch / name / "bare").string();
    ASSERT_GT(copy_with_bare_names(source(folder), prefix, bare), 10);
    Settings settings = short_run(scratch / name / "run");
    settings["model.path"] = bare;
    settings.erase("model.quantization");
    settings["data.train"] = toml_list({rows});
    settings["data.max_length"] = "64";
    settings["train.max_steps"] = "2";
    expect_success(launch_of(settings, 1));
    const std::string merged = (scratch / name / "merged").string();
    expect_success(merge_of(
        {"--model", bare, "--adapter", (scratch / name / "run/adapter").string(), "--output", merged, "--text", rows}, 1));
    const json report = read_json(fs::path(merged) / "lora_dist_merge.json");
    EXPECT_GT(report["weights"]["norm_of_update"].get<double>(), 0.0);
    // fp32 files: the order of sums alone; bf16: each weight is rounded once, by up to 2^-9 of itself
    const double tolerance = name == "families/gpt_neox_serial" ? 0.1 : 5e-5;
    EXPECT_LE(report["text"][1]["largest_log_prob_change"].get<double>(), tolerance) << name;
    for (const auto& [tensor, info] : read_safetensors_header(fs::path(merged) / "model.safetensors").tensors) {
      EXPECT_FALSE(tensor.starts_with(prefix)) << tensor;
    }
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

/// An adapter of a base that was not quantized: merged by default, it is what was trained, and score and eval take its record
/// too.
TEST(Merge, FollowsTheAdaptersRecord) {
  const Scratch scratch;
  const std::string model = source("demo/model").string();
  for (const std::string quantization : {"none", "fp4"}) {
    Settings settings = short_run(scratch / quantization);
    settings["model.quantization"] = quantization;
    settings["model.block_size"] = "128";
    settings["train.learning_rate"] = "2e-2";
    expect_success(launch_of(settings, 1));
    const std::string adapter = (scratch / quantization / "adapter").string();
    const std::vector<json> trained =
        scores_of_story({"--model", model, "--adapter", adapter, "--quantization", quantization, "--block-size", "128"},
                        scratch / "trained.jsonl");
    const auto change_of = [&](const std::vector<std::string>& opened) {
      return largest_change(trained, scores_of_story(opened, scratch / "other.jsonl"));
    };
    EXPECT_EQ(change_of({"--model", model, "--adapter", adapter}), 0.0);
    const std::string other = quantization == "none" ? "nf4" : "none";
    EXPECT_GE(change_of({"--model", model, "--adapter", adapter, "--quantization", other}), 1e-2);
    const std::string merged = (scratch / ("merged_" + quantization)).string();
    expect_success(merge_of({"--model", model, "--adapter", adapter, "--output", merged}, 1));
    EXPECT_LE(change_of({"--model", merged}), 5e-5);  // fp32 files: the order of sums
    expect_error(merge_of({"--model", model, "--adapter", adapter, "--quantization", other, "--output", merged + "2"}, 1), 2,
                 {"was trained on a base that was ", "or write --onto as well"});
  }
}

}  // namespace
}  // namespace lora_dist::program::merge_test
