// Eight steps of LoRA on a tiny model of a family (tests/golden/families), as settings, and the adapters that come out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "src/adapter/peft_adapter.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program {

inline Settings steps_of(const std::filesystem::path& model, const std::string& quantization, const std::filesystem::path& data,
                         const std::filesystem::path& output) {
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

/// The golden's training rows as a data file.
inline std::filesystem::path training_rows(const std::filesystem::path& model, const std::filesystem::path& file) {
  const nlohmann::json golden = read_json(model / "golden.json");
  std::string rows;
  for (const nlohmann::json& row : golden["training_rows"]) {
    rows += row.dump() + "\n";
  }
  put_file(file, rows);
  return file;
}

inline double largest_difference(const PeftAdapter& a, const PeftAdapter& b) {
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

/// The largest difference of the losses of a run's eight steps.
inline double loss_difference(const std::filesystem::path& output, const nlohmann::json& losses) {
  const std::vector<nlohmann::json> lines = read_lines(output / "metrics.jsonl");
  EXPECT_EQ(lines.size(), 8U);
  EXPECT_EQ(lines.size(), losses.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < std::min(lines.size(), losses.size()); ++i) {
    worst = std::max(worst, std::fabs(lines[i]["loss"].get<double>() - losses[i].get<double>()));
  }
  return worst;
}

}  // namespace lora_dist::program
