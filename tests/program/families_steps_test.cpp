// Eight steps of LoRA on a tiny model of every family, against transformers + PEFT (tests/golden/families).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "src/export/peft_adapter.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Settings steps_of(const fs::path& model, const std::string& quantization, const fs::path& data, const fs::path& output) {
  return {{"model.path", model.string()},  {"model.quantization", quantization},
          {"model.double_quant", "false"}, {"adapter.init_from", (model / "adapter_init").string()},
          {"adapter.dropout", "0"},        {"data.train", toml_list({data})},
          {"data.validation_split", "0"},  {"data.max_length", "64"},
          {"data.packing", "false"},       {"data.shuffle", "false"},
          {"train.max_steps", "8"},        {"train.global_batch", "4"},
          {"train.micro_batch", "3"},      {"train.learning_rate", "2e-3"},
          {"train.schedule", "constant"},  {"train.warmup_ratio", "0"},
          {"train.max_grad_norm", "0"},    {"checkpoint.every", "0"},
          {"output.dir", output.string()}};
}

double largest_difference(const PeftAdapter& a, const PeftAdapter& b) {
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

class FamilySteps : public testing::TestWithParam<const char*> {};

TEST_P(FamilySteps, FollowTransformersAndPeft) {
  const fs::path model = source("tests/golden/families") / GetParam();
  const json golden = read_json(model / "golden.json");
  const Scratch scratch;
  std::string rows;
  for (const json& row : golden["training_rows"]) {
    rows += row.dump() + "\n";
  }
  put_file(scratch / "train.jsonl", rows);
  for (const std::string quantization : {"none", "nf4"}) {
    const fs::path output = scratch / quantization;
    expect_success(launch_of(steps_of(model, quantization, scratch / "train.jsonl", output), quantization == "none" ? 1 : 2));
    const std::vector<json> lines = read_lines(output / "metrics.jsonl");
    ASSERT_EQ(lines.size(), 8U);
    double loss = 0.0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      loss = std::max(loss, std::fabs(lines[i]["loss"].get<double>() - golden[quantization]["losses"][i].get<double>()));
    }
    const PeftAdapter ours = read_peft_adapter(output / "adapter");
    const PeftAdapter theirs = read_peft_adapter(model / ("adapter_" + quantization));
    const double adapter = largest_difference(ours, theirs);
    EXPECT_LE(loss, 5e-5);
    EXPECT_LE(adapter, 1e-3);  // AdamW divides small gradients by their own size
    EXPECT_EQ(ours.config.fan_in_fan_out, std::string(GetParam()).starts_with("gpt2"));
    std::printf("%-18s %-4s: largest difference of loss %.2e, of the adapter %.2e\n", GetParam(), quantization.c_str(), loss,
                adapter);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, FamilySteps,
                         testing::Values("llama3", "mistral_window", "qwen2_window", "qwen3", "gemma", "gpt2", "gpt2_bare",
                                         "gpt_neox_parallel", "gpt_neox_serial", "exaone3", "exaone4_hybrid", "exaone4_global"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lora_dist::program
