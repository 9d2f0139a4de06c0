// LoRA with trained embeddings, heads, norms and tokens against PEFT (tests/golden/methods, make_trained_modules.py).
#include <gtest/gtest.h>

#include "tests/program/method_runs.h"

namespace lora_dist::program::trained_modules_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct TrainedCase : MethodCase {
  bool only_float = false;
};

Settings trained_settings(const MethodCase& c, const std::string& quantization, const fs::path& rows, const fs::path& output) {
  Settings settings = steps_of(base_folder(c), quantization, rows, output);
  settings["adapter.init_from"] = (golden_folder(c) / "init").string();
  return settings;
}

/// Of the tensors of linears, and of the trained copies and rows.
double difference_of(const PeftAdapter& ours, const PeftAdapter& theirs) {
  PeftAdapter replaced_ours;
  PeftAdapter replaced_theirs;
  replaced_ours.tensors = ours.replaced;
  replaced_theirs.tensors = theirs.replaced;
  if (replaced_theirs.tensors.contains("lm_head.token_adapter.trainable_tokens_delta") &&
      !replaced_ours.tensors.contains("lm_head.token_adapter.trainable_tokens_delta")) {
    replaced_theirs.tensors.erase("lm_head.token_adapter.trainable_tokens_delta");  // of a tied head, a second time
  }
  return std::max(largest_difference(ours, theirs), largest_difference(replaced_ours, replaced_theirs));
}

class TrainedModules : public testing::TestWithParam<TrainedCase> {};

/// A float base on one rank, an NF4 base cut over two TP ranks.
TEST_P(TrainedModules, FollowPeft) {
  const TrainedCase& c = GetParam();
  const json golden = read_json(golden_folder(c) / "golden.json");
  const Scratch scratch;
  const fs::path rows = training_rows(golden_folder(c), scratch / "train.jsonl");
  for (const std::string quantization : {"none", "nf4"}) {
    if (c.only_float && quantization == "nf4") {
      continue;
    }
    const fs::path output = scratch / quantization;
    Settings settings = trained_settings(c, quantization, rows, output);
    settings["parallel.tensor"] = quantization == "none" ? "1" : "2";
    const Finished shown = expect_success(launch_of(settings, quantization == "none" ? 1 : 2));
    EXPECT_EQ(count_of(shown.out, golden["trainable"].get<std::string>()), 1) << shown.out;
    const std::vector<json> lines = read_lines(output / "metrics.jsonl");
    ASSERT_EQ(lines.size(), 8U);
    double loss = 0.0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      loss = std::max(loss, std::fabs(lines[i]["loss"].get<double>() - golden[quantization]["losses"][i].get<double>()));
    }
    const PeftAdapter theirs = read_peft_adapter(golden_folder(c) / ("adapter_" + quantization));
    const double adapter = difference_of(read_peft_adapter(output / "adapter"), theirs);
    EXPECT_LE(loss, 1e-4);
    EXPECT_LE(adapter, 1e-3);  // AdamW divides small gradients by their own size
    std::printf("%-22s %-4s: largest difference of loss %.2e, of the adapter %.2e\n", name_of(c).c_str(), quantization.c_str(),
                loss, adapter);
  }
}

/// Log-probabilities of a folder, with rows of the golden.
double folder_difference(const TrainedCase& c, const fs::path& adapter, const std::string& quantization, const json& expected) {
  const Scratch scratch;
  std::string lines;
  const json golden = read_json(golden_folder(c) / "golden.json");
  for (const json& row : golden["rows"]) {
    lines += json{{"id", 0}, {"input_ids", row}}.dump() + "\n";
  }
  put_file(scratch / "rows.jsonl", lines);
  Launch launch;
  launch.arguments = {"score",
                      "--model",
                      base_folder(c).string(),
                      "--adapter",
                      adapter.string(),
                      "--quantization",
                      quantization,
                      "--double-quant",
                      "false",
                      "--input",
                      (scratch / "rows.jsonl").string(),
                      "--output",
                      (scratch / "out").string()};
  expect_success(launch);
  return distance_of_rows(read_lines(scratch / "out"), expected);
}

TEST_P(TrainedModules, FoldersOfPeftMeanTheSame) {
  const TrainedCase& c = GetParam();
  const json golden = read_json(golden_folder(c) / "golden.json");
  EXPECT_LE(folder_difference(c, golden_folder(c) / "init", "none", golden["none"]["logprobs_init"]), 5e-5);
  for (const std::string quantization : {"none", "nf4"}) {
    if (!c.only_float || quantization == "none") {
      EXPECT_LE(
          folder_difference(c, golden_folder(c) / ("adapter_" + quantization), quantization, golden[quantization]["logprobs"]),
          quantization == "none" ? 5e-5 : 3e-4);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, TrainedModules,
                         testing::Values(TrainedCase{{"saved", "qwen3"}}, TrainedCase{{"saved", "gpt2"}},
                                         TrainedCase{{"saved_tied", "gemma2"}, true}, TrainedCase{{"tokens", "llama3"}},
                                         TrainedCase{{"tokens", "gpt2"}}, TrainedCase{{"tokens", "gemma2"}},
                                         TrainedCase{{"tokens", "qwen3"}}, TrainedCase{{"new_tokens", "llama3"}},
                                         TrainedCase{{"new_tokens", "qwen3"}}, TrainedCase{{"saved_new_tokens", "qwen3"}, true}),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace lora_dist::program::trained_modules_test
