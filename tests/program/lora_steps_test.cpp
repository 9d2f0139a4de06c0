// Ten steps of LoRA against transformers + PEFT on the same batches (tests/golden/lora_steps).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "src/adapter/peft_adapter.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program::lora_steps_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The oracle against itself, on other thread counts or with the batch as one padded pass: see oracle_against_itself in
// losses.json.
constexpr double kLoss = 2e-5;
constexpr double kNorm = 1e-4;     // relative
constexpr double kAdapter = 1e-3;  // at a learning rate of 2e-3: AdamW divides small gradients by their own size

Settings golden_run(const json& golden, const fs::path& output) {
  const fs::path folder = source("tests/golden/lora_steps");
  return {{"model.path", source("demo/model").string()},
          {"model.quantization", golden["quantization"]},
          {"model.double_quant", golden["double_quant"].get<bool>() ? "true" : "false"},
          {"adapter.init_from", (folder / golden["init_from"].get<std::string>()).string()},
          {"adapter.dropout", "0"},
          {"data.train", toml_list({folder / "train.jsonl"})},
          {"data.validation_split", "0"},
          {"data.max_length", "128"},
          {"data.packing", "false"},
          {"data.shuffle", "false"},
          {"train.max_steps", "10"},
          {"train.global_batch", "8"},
          {"train.micro_batch", "3"},
          {"train.learning_rate", "2e-3"},
          {"train.schedule", "constant"},
          {"train.warmup_ratio", "0"},
          {"train.max_grad_norm", "1.0"},
          {"checkpoint.every", "0"},
          {"output.dir", output.string()}};
}

double largest_difference(const fs::path& ours, const fs::path& theirs) {
  const PeftAdapter a = read_peft_adapter(ours);
  const PeftAdapter b = read_peft_adapter(theirs);
  EXPECT_EQ(a.tensors.size(), b.tensors.size());
  double worst = 0.0;
  for (const auto& [name, matrix] : b.tensors) {
    const auto found = a.tensors.find(name);
    if (found == a.tensors.end() || found->second.shape != matrix.shape) {
      ADD_FAILURE() << name << " is missing or has another shape";
      continue;
    }
    for (std::size_t i = 0; i < matrix.values.size(); ++i) {
      const double difference = std::fabs(static_cast<double>(matrix.values[i]) - static_cast<double>(found->second.values[i]));
      worst = difference <= worst ? worst : difference;  // NaN counts as worse
    }
  }
  return worst;
}

class LoraSteps : public testing::TestWithParam<std::string> {};

TEST_P(LoraSteps, FollowTransformersAndPeft) {
  const fs::path variant = source("tests/golden/lora_steps") / GetParam();
  const json golden = read_json(variant / "losses.json");
  const Scratch scratch;
  for (const int ranks : {1, 2}) {
    const fs::path output = scratch / std::to_string(ranks);
    expect_success(launch_of(golden_run(golden, output), ranks));
    const std::vector<json> lines = read_lines(output / "metrics.jsonl");
    ASSERT_EQ(lines.size(), 10U);
    double loss = 0.0;
    double norm = 0.0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const json& step = golden["steps"][i];
      for (const char* key : {"step", "tokens", "target_tokens", "learning_rate"}) {
        EXPECT_EQ(lines[i][key], step[key]) << key << " of step " << i + 1;
      }
      loss = std::max(loss, std::fabs(lines[i]["loss"].get<double>() - step["loss"].get<double>()));
      norm = std::max(norm, std::fabs(lines[i]["grad_norm"].get<double>() / step["grad_norm"].get<double>() - 1.0));
    }
    const double adapter = largest_difference(output / "adapter", variant / "final");
    EXPECT_LE(loss, kLoss);
    EXPECT_LE(norm, kNorm);
    EXPECT_LE(adapter, kAdapter);
    std::printf("%-22s np %d: largest difference of loss %.2e, of grad_norm %.2e (relative), of the adapter %.2e\n",
                GetParam().c_str(), ranks, loss, norm, adapter);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, LoraSteps,
                         testing::Values("fp32_qv", "fp32_all_linear", "nf4_all_linear", "nf4_double_all_linear"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace lora_dist::program::lora_steps_test
