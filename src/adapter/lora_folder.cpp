// Keys, shapes and the merge of LoRA.
#include "src/adapter/lora_folder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "kernels/matmul/matmul.h"

namespace lora_dist {

namespace {

/// In fp64: factors have up to a million elements.
double dot_in_fp64(const float* x, const float* y, std::size_t n) {
  return std::transform_reduce(x, x + n, y, 0.0, std::plus<>{},
                               [](float a, float b) { return static_cast<double>(a) * static_cast<double>(b); });
}

constexpr std::array<ModuleTensor, 2> kLoraTensors = {{{kLoraA}, {kLoraB}}};

void read_lora_keys(const ConfigReader& file, PeftConfig& config) {
  using nlohmann::json;
  config.r = file.rank("r", config.r);
  config.alpha = file.finite("lora_alpha", config.alpha);
  config.dropout = file.dropout("lora_dropout");
  config.use_rslora = file.flag("use_rslora", false);
  config.rank_pattern =
      file.pattern("rank_pattern", [&](const std::string& key, const json& value) { return file.rank_in(key, value); });
  config.alpha_pattern =
      file.pattern("alpha_pattern", [&](const std::string& key, const json& value) { return file.finite_in(key, value); });
}

nlohmann::ordered_json lora_keys(const PeftConfig& config) {
  using nlohmann::ordered_json;
  return {{"alpha_pattern", pattern_object(config.alpha_pattern, number_as_peft)},
          {"bias", "none"},
          {"fan_in_fan_out", config.fan_in_fan_out},
          {"init_lora_weights", true},
          {"layer_replication", nullptr},
          {"layers_pattern", nullptr},
          {"layers_to_transform", nullptr},
          {"loftq_config", ordered_json::object()},
          {"lora_alpha", number_as_peft(config.alpha)},
          {"lora_dropout", config.dropout},
          {"megatron_config", nullptr},
          {"megatron_core", "megatron.core"},
          {"r", config.r},
          {"rank_pattern", pattern_object(config.rank_pattern, [](std::int64_t rank) { return rank; })},
          {"use_dora", config.method == Method::dora},
          {"use_rslora", config.use_rslora}};
}

std::string lora_shape_problem(const AdaptedModule& module, std::string_view role) {
  const std::int64_t expected = rank_of(module.adapter->config, module.path);
  const bool fits = module.tensor(role).shape[role == kLoraA ? 0 : 1] == expected;
  return fits ? std::string() : fmt::format("adapter_config.json gives its module rank {}", expected);
}

std::string lora_options(const PeftConfig& config) {
  const bool plain = config.init == LoraInit::uniform;
  return fmt::format("r {}, alpha {}{}, dropout {}{}{}", config.r, config.alpha, config.use_rslora ? " (rsLoRA)" : "",
                     config.dropout, plain ? "" : ", init ", plain ? "" : word_of(kLoraInits, config.init));
}

std::string lora_option_lines(const PeftConfig& config) {
  return fmt::format("  r               {}{}\n  alpha           {}{}\n  dropout         {}\n", config.r,
                     config.rank_pattern.empty() ? "" : " (and rank_pattern)", config.alpha,
                     config.alpha_pattern.empty() ? "" : " (and alpha_pattern)", config.dropout) +
         (uses_residual(config.init)
              ? fmt::format("  init            {}: relative to weights that it changed\n", word_of(kLoraInits, config.init))
              : "");
}

std::string lora_size_text(const PeftConfig& config) { return fmt::format(" of rank {}, alpha {},", config.r, config.alpha); }

UpdateSize lora_size(const AdaptedModule& module) { return {module.tensor(kLoraB).shape[0], module.tensor(kLoraA).shape[1]}; }

void merge_lora(const AdaptedModule& module, const MergedWeight& weight, const Stream& stream) {
  const double scale = scale_of(module.adapter->config, module.path) * module.weight;
  add_product(module.tensor(kLoraA), module.tensor(kLoraB), static_cast<float>(scale), weight, stream);
}

std::optional<std::int64_t> lora_rank(const AdaptedModule& module) { return module.tensor(kLoraA).shape[0]; }

double lora_norm(const AdaptedModule& module) {
  return norm_of_update(module.tensor(kLoraA), module.tensor(kLoraB), scale_of(module.adapter->config, module.path));
}

}  // namespace

void add_product(const AdapterMatrix& a, const AdapterMatrix& b, float scale, const MergedWeight& weight, const Stream& stream) {
  const ConstTensorView a_view = view(a.values.data(), {a.shape[0], a.shape[1]});
  const ConstTensorView b_view = view(b.values.data(), {b.shape[0], b.shape[1]});
  if (weight.transposed) {
    matmul({.a = a_view,
            .op_a = Transpose::yes,
            .b = b_view,
            .op_b = Transpose::yes,
            .alpha = scale,
            .added = {.beta = 1.0F},
            .c = weight.values},
           stream);
  } else {
    matmul({.a = b_view, .b = a_view, .alpha = scale, .added = {.beta = 1.0F}, .c = weight.values}, stream);
  }
}

double norm_of_update(const AdapterMatrix& a, const AdapterMatrix& b, double scale) {
  const auto r = static_cast<std::size_t>(a.shape[0]);
  const auto in = static_cast<std::size_t>(a.shape[1]);
  const auto out = static_cast<std::size_t>(b.shape[0]);
  double trace = 0.0;           // of (A A^T) (B^T B), a row of both at a time; both are symmetric
  std::vector<double> of_b(r);  // row i of B^T B, from rows of B as they lie in memory
  for (std::size_t i = 0; i < r; ++i) {
    std::fill(of_b.begin(), of_b.end(), 0.0);
    for (std::size_t k = 0; k < out; ++k) {
      const float* row = b.values.data() + k * r;
      for (std::size_t j = 0; j <= i; ++j) {
        of_b[j] += static_cast<double>(row[i]) * static_cast<double>(row[j]);
      }
    }
    for (std::size_t j = 0; j <= i; ++j) {
      trace += (j < i ? 2.0 : 1.0) * of_b[j] * dot_in_fp64(a.values.data() + i * in, a.values.data() + j * in, in);
    }
  }
  return std::abs(scale) * std::sqrt(std::max(trace, 0.0));
}

PeftCodec lora_codec() {
  return {.type = "LORA",
          .title = "LoRA",
          .tensors = kLoraTensors,
          .is_written_in = [](const ConfigReader& file) { return !file.flag("use_dora", false); },
          .read = read_lora_keys,
          .keys = lora_keys,
          .shape_problem = lora_shape_problem,
          .options = lora_options,
          .option_lines = lora_option_lines,
          .size_text = lora_size_text};
}

MergeHooks lora_merge() {
  return {.size = lora_size,
          .weight = merge_lora,
          .bias = nullptr,
          .sums = true,
          .rank = lora_rank,
          .norm = lora_norm,
          .norm_of = {}};
}

}  // namespace lora_dist
