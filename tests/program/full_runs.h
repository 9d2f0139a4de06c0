// Runs of full fine-tuning on tiny models, and the models that come out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "kernels/elementwise/elementwise.h"
#include "src/io/safetensors.h"
#include "tests/program/family_runs.h"

namespace lora_dist::program {

/// Every float tensor of a model folder or a safetensors file, as f32.
using Weights = std::map<std::string, std::vector<float>>;

inline Weights read_weights(const std::filesystem::path& path) {
  Weights weights;
  const TensorDirectory directory =
      std::filesystem::is_directory(path) ? read_model_directory(path) : read_safetensors_header(path);
  for (const auto& [name, tensor] : directory.tensors) {
    std::vector<std::byte> bytes(tensor.bytes);
    read_tensor_bytes(tensor, 0, bytes);
    std::vector<float>& values = weights[name];
    values.resize(tensor.bytes / size_of(tensor.dtype));
    const Shape flat{static_cast<std::int64_t>(values.size())};
    cast_cpu({bytes.data(), tensor.dtype, flat}, view(std::span(values)), Stream{});
  }
  return weights;
}

/// GPT-2's biases of keys move by rounding alone: softmax does not see what all keys have in common, so that their gradient is
/// zero, and AdamW divides what rounding leaves of it by its own size.
inline void leave_out_key_biases(Weights& weights) {
  for (auto& [name, values] : weights) {
    if (name.ends_with("attn.c_attn.bias")) {
      const auto width = static_cast<std::ptrdiff_t>(values.size() / 3);
      std::fill(values.begin() + width, values.begin() + 2 * width, 0.0F);
    }
  }
}

inline double largest_difference(Weights a, Weights b) {
  leave_out_key_biases(a);
  leave_out_key_biases(b);
  EXPECT_EQ(a.size(), b.size());
  double worst = 0.0;
  for (const auto& [name, values] : b) {
    const auto found = a.find(name);
    if (found == a.end() || found->second.size() != values.size()) {
      ADD_FAILURE() << name << " is missing or has another shape";
      continue;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double difference = std::fabs(static_cast<double>(values[i]) - static_cast<double>(found->second[i]));
      worst = difference <= worst ? worst : difference;  // NaN counts as worse
    }
  }
  return worst;
}

/// Eight steps on a golden family, as tests/golden/make_full.py makes them.
inline Settings full_steps_of(const std::string& family, const std::filesystem::path& rows, const std::filesystem::path& output) {
  Settings settings = steps_of(source("tests/golden/families") / family, "none", rows, output);
  settings.erase("adapter.init_from");
  settings.erase("adapter.dropout");
  settings["adapter.method"] = "full";
  settings["train.weight_decay"] = "0.1";
  settings["train.max_grad_norm"] = "1";
  settings["output.model_dtype"] = "fp32";
  return settings;
}

/// Ten steps of short_run on every weight.
inline Settings full_run(const std::filesystem::path& output) {
  Settings settings = short_run(output);
  for (const char* key : {"adapter.dropout", "adapter.r", "adapter.alpha"}) {
    settings.erase(key);
  }
  settings["adapter.method"] = "full";
  settings["model.quantization"] = "none";
  return settings;
}

/// Requires equal bits of losses, gradient norms and the trained model.
inline void expect_same_model(const std::filesystem::path& output, const std::filesystem::path& reference) {
  for (const char* member : {"loss", "grad_norm"}) {
    EXPECT_EQ(column(read_lines(output / "metrics.jsonl"), member), column(read_lines(reference / "metrics.jsonl"), member));
  }
  EXPECT_EQ(digests_below(output / "model"), digests_below(reference / "model"));
}

}  // namespace lora_dist::program
