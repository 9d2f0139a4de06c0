// Keys, sliced tensors and the merge of AdaLoRA.
#include "src/adapter/adalora_folder.h"

#include <algorithm>
#include <array>

#include "src/adapter/adapter_bridge.h"
#include "src/adapter/lora_folder.h"

namespace lora_dist {

namespace {

constexpr std::array<ModuleTensor, 3> kAdaLoraTensors = {
    {{.name = kLoraA, .suffix = false, .may_be_empty = true},
     {.name = kLoraB, .suffix = false, .may_be_empty = true},
     {.name = kLoraE, .suffix = false, .exact = true, .may_be_empty = true}}};
constexpr std::string_view kPatternEnding = ".lora_E";

std::int64_t whole_number(const ConfigReader& file, const char* key, std::int64_t least, std::int64_t otherwise) {
  const nlohmann::json* value = file.find(key);
  if (value == nullptr) {
    return otherwise;
  }
  if (!value->is_number_integer() || *value < least) {
    file.refuse(fmt::format("{} must be a whole number from {} (got {})", key, least, value->dump().substr(0, 40)));
  }
  return value->get<std::int64_t>();
}

/// Above 0 and below 1.
double share(const ConfigReader& file, const char* key, double otherwise) {
  const double value = file.finite(key, otherwise);
  if (value <= 0.0 || value >= 1.0) {
    file.refuse(fmt::format("{} must be above 0 and below 1 (got {})", key, value));
  }
  return value;
}

/// {"model.layers.0.self_attn.q_proj.lora_E": [true, false, ...]}: a flag for each of init_r ranks.
std::map<std::string, std::vector<bool>> read_kept_ranks(const ConfigReader& file, std::int64_t init_r) {
  std::map<std::string, std::vector<bool>> kept;
  const nlohmann::json* pattern = file.find("rank_pattern");
  if (pattern == nullptr) {
    return kept;
  }
  const auto is_flag = [](const nlohmann::json& flag) { return flag.is_boolean(); };
  if (!pattern->is_object()) {
    file.refuse("rank_pattern must be an object");
  }
  for (const auto& [name, flags] : pattern->items()) {
    if (!name.ends_with(kPatternEnding) || !flags.is_array() || std::ssize(flags) != init_r ||
        !std::ranges::all_of(flags, is_flag)) {
      file.refuse(fmt::format("rank_pattern has the key \"{}\"; AdaLoRA's are names of lora_E with a list of init_r = {} flags",
                              name.substr(0, 80), init_r));
    }
    kept.emplace(name.substr(0, name.size() - kPatternEnding.size()), flags.get<std::vector<bool>>());
  }
  return kept;
}

void read_adalora_keys(const ConfigReader& file, PeftConfig& config) {
  AdaLoraOptions& options = config.adalora;
  options.init_r = file.rank("init_r", options.init_r);
  options.target_r = file.rank("target_r", options.target_r);
  options.tinit = whole_number(file, "tinit", 0, options.tinit);
  options.tfinal = whole_number(file, "tfinal", 0, options.tfinal);
  options.delta_t = whole_number(file, "deltaT", 1, options.delta_t);
  options.beta1 = share(file, "beta1", options.beta1);
  options.beta2 = share(file, "beta2", options.beta2);
  options.orth_reg_weight = file.finite("orth_reg_weight", options.orth_reg_weight);
  if (options.orth_reg_weight < 0.0) {
    file.refuse(fmt::format("orth_reg_weight must be at least 0 (got {})", options.orth_reg_weight));
  }
  for (const char* key : {"use_dora", "use_rslora"}) {
    if (file.flag(key, false)) {
      file.refuse(fmt::format("{} is true, which AdaLoRA does not have; save the adapter again", key));
    }
  }
  config.total_steps = whole_number(file, "total_step", 1, config.total_steps);
  config.r = options.init_r;
  config.alpha = file.finite("lora_alpha", config.alpha);
  config.dropout = file.dropout("lora_dropout");
  config.kept_ranks = read_kept_ranks(file, options.init_r);
}

nlohmann::ordered_json kept_pattern(const PeftConfig& config) {
  if (config.kept_ranks.empty()) {
    return nullptr;
  }
  nlohmann::ordered_json pattern = nlohmann::ordered_json::object();
  for (const auto& [path, flags] : config.kept_ranks) {
    pattern[path + std::string(kPatternEnding)] = flags;
  }
  return pattern;
}

nlohmann::ordered_json adalora_keys(const PeftConfig& config) {
  const AdaLoraOptions& options = config.adalora;
  return {{"alpha_pattern", nlohmann::ordered_json::object()},
          {"beta1", options.beta1},
          {"beta2", options.beta2},
          {"bias", "none"},
          {"deltaT", options.delta_t},
          {"init_lora_weights", true},
          {"init_r", options.init_r},
          {"layers_pattern", nullptr},
          {"layers_to_transform", nullptr},
          {"loftq_config", nlohmann::ordered_json::object()},
          {"lora_alpha", number_as_peft(config.alpha)},
          {"lora_dropout", config.dropout},
          {"orth_reg_weight", options.orth_reg_weight},
          {"r", 8},  // which PEFT does not use
          {"rank_pattern", kept_pattern(config)},
          {"target_r", options.target_r},
          {"tfinal", options.tfinal},
          {"tinit", options.tinit},
          {"total_step", config.total_steps},
          {"use_dora", false},
          {"use_rslora", false}};
}

std::string adalora_shape_problem(const AdaptedModule& module, std::string_view role) {
  const std::int64_t expected = stored_rank(module.adapter->config, module.path);
  const std::vector<std::int64_t>& shape = module.tensor(role).shape;
  const bool fits = shape[role == kLoraB ? 1 : 0] == expected && (role != kLoraE || shape[1] == 1);
  return fits ? std::string() : fmt::format("adapter_config.json gives its module rank {}", expected);
}

std::string adalora_options(const PeftConfig& config) {
  return fmt::format("r {} to {}, alpha {}, dropout {}", config.adalora.init_r, config.adalora.target_r, config.alpha,
                     config.dropout);
}

std::string adalora_option_lines(const PeftConfig& config) {
  std::int64_t left = 0;
  for (const auto& [path, flags] : config.kept_ranks) {
    left += std::count(flags.begin(), flags.end(), true);
  }
  const std::string ranks = config.kept_ranks.empty()
                                ? std::string("all")
                                : fmt::format("{} of {}", left, std::ssize(config.kept_ranks) * config.adalora.init_r);
  return fmt::format(
      "  init_r          {}\n  target_r        {}\n  ranks left      {}\n  alpha           {}\n  dropout         {}\n",
      config.adalora.init_r, config.adalora.target_r, ranks, config.alpha, config.dropout);
}

std::string adalora_size_text(const PeftConfig& config) {
  return fmt::format(" of rank {} on average, alpha {},", config.adalora.target_r, config.alpha);
}

std::int64_t adalora_rank(const AdaptedModule& module) { return module.tensor(kLoraA).shape[0]; }

void merge_adalora(const AdaptedModule& module, const MergedWeight& weight, const Stream& stream) {
  if (adalora_rank(module) > 0) {
    const double scale = scale_of(module.adapter->config, module.path) * module.weight;
    add_product(scaled_factor_a(module), module.tensor(kLoraB), static_cast<float>(scale), weight, stream);
  }
}

double adalora_norm(const AdaptedModule& module) {
  return norm_of_update(scaled_factor_a(module), module.tensor(kLoraB), scale_of(module.adapter->config, module.path));
}

/// The columns [r] of B whose flag is set.
void append_columns(std::span<const float> b, const std::vector<bool>& flags, std::vector<float>& out) {
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (flags[i % flags.size()]) {
      out.push_back(b[i]);
    }
  }
}

void append_rows(std::span<const float> x, std::size_t cols, const std::vector<bool>& flags, std::vector<float>& out) {
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (flags[i]) {
      const auto row = x.subspan(i * cols, cols);
      out.insert(out.end(), row.begin(), row.end());
    }
  }
}

}  // namespace

double adalora_scale(double alpha, std::int64_t r, bool /*rslora*/) {
  const auto ranks = static_cast<double>(r);
  return (alpha > 0.0 ? alpha : ranks) / (ranks + 1e-5);
}

AdapterMatrix scaled_factor_a(const AdaptedModule& module) {
  AdapterMatrix a = module.tensor(kLoraA);
  const std::vector<float>& e = module.tensor(kLoraE).values;
  const auto in = static_cast<std::size_t>(a.shape[1]);
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    a.values[i] *= e[i / in];
  }
  return a;
}

KeptTensors kept_tensors(const AdapterLayout& layout, const RankBudget& budget, std::span<const float> params, PeftConfig& peft) {
  peft.kept_ranks.clear();
  KeptTensors out{adapter_tensors(layout), {params.begin(), params.end()}};
  if (budget.kept.empty()) {
    return out;
  }
  out.values.clear();
  auto next = budget.kept.begin();
  std::vector<bool> flags;  // of the module
  for (AdapterTensor& tensor : out.tensors) {
    const auto [path, role] = path_and_role(tensor.name);
    const bool is_b = role == kLoraB;
    const std::int64_t ranks = tensor.shape[is_b ? 1 : 0];
    if (role == kLoraA) {
      flags.assign(next, next + ranks);
      next += ranks;
      peft.kept_ranks.emplace(path, flags);
    }
    const auto values = params.subspan(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.count));
    const std::size_t before = out.values.size();
    is_b ? append_columns(values, flags, out.values)
         : append_rows(values, static_cast<std::size_t>(tensor.shape[1]), flags, out.values);
    tensor.shape[is_b ? 1 : 0] = std::count(flags.begin(), flags.end(), true);
    tensor.offset = static_cast<std::int64_t>(before);
    tensor.count = static_cast<std::int64_t>(out.values.size() - before);
  }
  return out;
}

PeftCodec adalora_codec() {
  return {.type = "ADALORA",
          .title = "AdaLoRA",
          .tensors = kAdaLoraTensors,
          .is_written_in = nullptr,
          .read = read_adalora_keys,
          .keys = adalora_keys,
          .shape_problem = adalora_shape_problem,
          .options = adalora_options,
          .option_lines = adalora_option_lines,
          .size_text = adalora_size_text};
}

MergeHooks adalora_merge() {
  return {.size =
              [](const AdaptedModule& module) {
                return UpdateSize{module.tensor(kLoraB).shape[0], module.tensor(kLoraA).shape[1]};
              },
          .weight = merge_adalora,
          .bias = nullptr,
          .sums = true,
          .rank = [](const AdaptedModule& module) { return std::optional(adalora_rank(module)); },
          .norm = adalora_norm,
          .norm_of = {}};
}

}  // namespace lora_dist
