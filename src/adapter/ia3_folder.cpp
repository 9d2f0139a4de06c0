// Factors of outputs, or of the inputs of feed-forward modules.
#include "src/adapter/ia3_folder.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>

#include "src/model/family.h"

namespace lora_dist {

namespace {

constexpr std::array<ModuleTensor, 1> kIa3Tensors = {{{.name = kIa3Factors, .suffix = false, .exact = true}}};

void read_ia3_keys(const ConfigReader& file, PeftConfig& config) {
  std::string pattern;
  file.modules("feedforward_modules", config.feedforward_modules, pattern);
  if (!pattern.empty()) {
    file.refuse("feedforward_modules must be a list of names; a regular expression is not read");
  }
}

nlohmann::ordered_json ia3_keys(const PeftConfig& config) {
  return {{"exclude_modules", nullptr},
          {"fan_in_fan_out", config.fan_in_fan_out},
          {"feedforward_modules", sorted_names(config.feedforward_modules)},
          {"init_ia3_weights", true}};
}

std::string ia3_shape_problem(const AdaptedModule& module, std::string_view role) {
  const bool feedforward = ends_with_any(module.path, module.adapter->config.feedforward_modules);
  if (module.tensor(role).shape[feedforward ? 0 : 1] == 1) {
    return {};
  }
  return fmt::format("feedforward_modules of adapter_config.json {} its module, which then has [{}]; save the adapter again",
                     feedforward ? "name" : "do not name", feedforward ? "1, inputs" : "outputs, 1");
}

std::string ia3_option_lines(const PeftConfig& config) {
  return fmt::format("  feed-forward    {}\n", fmt::join(config.feedforward_modules, ", "));
}

UpdateSize ia3_size(const AdaptedModule& module) {
  const std::vector<std::int64_t>& shape = module.tensor(kIa3Factors).shape;
  return shape[1] == 1 ? UpdateSize{shape[0], 0} : UpdateSize{0, shape[1]};
}

/// Each element times the factor of its output, or of its input.
void merge_ia3(const AdaptedModule& module, const MergedWeight& weight, const Stream& /*stream*/) {
  const AdapterMatrix& factors = module.tensor(kIa3Factors);
  const bool of_rows = (factors.shape[1] == 1) != weight.transposed;
  const auto cols = static_cast<std::size_t>(weight.values.cols());
  float* const values = weight.values.as<float>();
  for (std::size_t i = 0; i < static_cast<std::size_t>(weight.values.count()); ++i) {
    values[i] *= factors.values[of_rows ? i / cols : i % cols];
  }
}

void merge_ia3_bias(const AdaptedModule& module, std::span<float> bias) {
  const std::vector<float>& factors = module.tensor(kIa3Factors).values;
  std::ranges::transform(bias, factors, bias.begin(), [](float value, float factor) { return value * factor; });
}

/// The norm of l - 1: IA3 changes nothing where its factors are 1.
double norm_of_factors(const AdaptedModule& module) {
  double sum = 0.0;
  for (const float value : module.tensor(kIa3Factors).values) {
    sum += (static_cast<double>(value) - 1.0) * (static_cast<double>(value) - 1.0);
  }
  return std::sqrt(sum);
}

}  // namespace

PeftCodec ia3_codec() {
  return {.type = "IA3",
          .title = "IA3",
          .tensors = kIa3Tensors,
          .is_written_in = nullptr,
          .read = read_ia3_keys,
          .keys = ia3_keys,
          .shape_problem = ia3_shape_problem,
          .options = [](const PeftConfig&) { return std::string("without r, alpha and dropout"); },
          .option_lines = ia3_option_lines,
          .size_text = [](const PeftConfig&) { return std::string(); }};
}

MergeHooks ia3_merge() {
  return {.size = ia3_size,
          .weight = merge_ia3,
          .bias = merge_ia3_bias,
          .sums = false,
          .rank = [](const AdaptedModule&) { return std::optional<std::int64_t>(); },
          .norm = norm_of_factors,
          .norm_of = "l - 1"};
}

void name_feedforward_modules(PeftConfig& peft, const AdapterLayout& layout, const ModelSpec& /*model*/) {
  std::map<std::string, bool> feedforward;  // by path
  for (std::size_t layer = 0; layer < layout.blocks.size(); ++layer) {
    for (const Linear linear : kAllLinears) {
      if (const auto& adapted = layout.blocks[layer][index_of(linear)]) {
        feedforward[module_path(*layout.family, static_cast<std::int64_t>(layer), linear)] = adapted->feedforward;
      }
    }
  }
  const auto ends_one = [&](const std::string& name, bool kind) {
    return std::any_of(feedforward.begin(), feedforward.end(),
                       [&](const auto& module) { return module.second == kind && ends_with_name(module.first, name); });
  };
  if (std::ranges::any_of(peft.target_modules, [&](const auto& name) { return ends_one(name, true) && ends_one(name, false); })) {
    peft.target_modules.clear();
    std::ranges::transform(feedforward, std::back_inserter(peft.target_modules), [](const auto& module) { return module.first; });
  }
  peft.feedforward_modules.clear();
  std::ranges::copy_if(peft.target_modules, std::back_inserter(peft.feedforward_modules),
                       [&](const auto& name) { return ends_one(name, true); });
}

}  // namespace lora_dist
