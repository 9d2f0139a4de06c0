// Reads adapter_config.json, and applies its rules to modules.
#include "src/adapter/adapter_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "src/adapter/lora_factors.h"
#include "src/adapter/path_pattern.h"
#include "src/core/error.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxRank = 1 << 20;

/// Unsupported keys that change what the adapter computes or adapts; each must be absent, null, false or empty.
constexpr const char* kNotRepresented[] = {
    "use_qalora",   "lora_bias",   "use_bdlora",        "modules_to_save", "layer_replication", "alora_invocation_tokens",
    "arrow_config", "kasa_config", "monteclora_config", "velora_config",   "target_parameters", "trainable_token_indices"};

/// Initialisations that also change the base weights: such an adapter is invalid on the original base.
constexpr const char* kBaseChangingInits[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};

/// Reads the keys of one document; errors name file and key.
class ConfigReader {
 public:
  ConfigReader(const json& document, const std::filesystem::path& file) : document_(document), file_(file) {}

  [[noreturn]] void refuse(const std::string& what) const { throw Error(ExitCode::model, file_.string() + ": " + what); }

  /// The value; nullopt if the key is missing or null.
  const json* find(const char* key) const {
    const auto at = document_.find(key);
    return at == document_.end() || at->is_null() ? nullptr : &*at;
  }

  std::string text(const char* key, const std::string& otherwise) const {
    const json* value = find(key);
    if (value != nullptr && !value->is_string()) {
      refuse(fmt::format("{} must be text", key));
    }
    return value == nullptr ? otherwise : value->get<std::string>();
  }

  bool flag(const char* key, bool otherwise) const {
    const json* value = find(key);
    if (value != nullptr && !value->is_boolean()) {
      refuse(fmt::format("{} must be true or false", key));
    }
    return value == nullptr ? otherwise : value->get<bool>();
  }

  std::int64_t rank(const std::string& key, const json& value) const {
    if (!value.is_number_integer() || value < 1 || value > kMaxRank) {
      refuse(fmt::format("{} must be a whole number from 1 to {} (got {})", key, kMaxRank, value.dump().substr(0, 40)));
    }
    return value.get<std::int64_t>();
  }

  double finite(const std::string& key, const json& value) const {
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      refuse(fmt::format("{} must be a number (got {})", key, value.dump().substr(0, 40)));
    }
    return value.get<double>();
  }

  /// The members of an object of patterns, in file order; `value_of` reads one value.
  template <class Read>
  auto pattern(const char* key, const nlohmann::ordered_json& in_order, const Read& value_of) const {
    PathPattern<decltype(value_of(std::string(), json()))> pattern;
    const json* value = find(key);
    if (value != nullptr && !value->is_object()) {
      refuse(fmt::format("{} must be an object", key));
    }
    if (value != nullptr) {
      for (const auto& [name, ignored] : in_order[key].items()) {
        if (const std::string problem = problem_of_pattern(name); !problem.empty()) {
          refuse(fmt::format("{} has the key \"{}\", which {}", key, name.substr(0, 80), problem));
        }
        pattern.emplace_back(name, value_of(fmt::format("{}.{}", key, name), (*value)[name]));
      }
    }
    return pattern;
  }

 private:
  const json& document_;
  const std::filesystem::path& file_;
};

bool is_off(const json& value) {
  return value == false || ((value.is_array() || value.is_object() || value.is_string()) && value.empty());
}

void refuse_unrepresented(const ConfigReader& reader) {
  if (const std::string type = reader.text("peft_type", ""); type != "LORA" && type != "IA3") {
    reader.refuse(fmt::format("peft_type is \"{}\", and only LORA and IA3 adapters can be read", type));
  }
  for (const char* key : kNotRepresented) {
    if (const json* value = reader.find(key); value != nullptr && !is_off(*value)) {
      reader.refuse(fmt::format("{} is {}, which this program does not do; train or export the adapter without it", key,
                                value->dump().substr(0, 80)));
    }
  }
  if (const std::string bias = reader.text("bias", "none"); bias != "none") {
    reader.refuse(fmt::format("bias is \"{}\": the adapter also trains biases, which this program does not do", bias));
  }
  const json* init = reader.find("init_lora_weights");
  if (init != nullptr && init->is_string()) {
    for (const char* prefix : kBaseChangingInits) {
      if (init->get<std::string>().starts_with(prefix)) {
        reader.refuse(fmt::format(
            "init_lora_weights is {}, which changes the base model's weights; convert the adapter to plain LoRA in PEFT "
            "(save_pretrained with path_initial_model_for_weight_conversion)",
            init->dump()));
      }
    }
  }
}

/// A list of names, or one text.
void read_modules(const ConfigReader& reader, const char* key, std::vector<std::string>& names, std::string& pattern) {
  const json* modules = reader.find(key);
  if (modules == nullptr) {
    return;
  }
  if (modules->is_string()) {
    pattern = modules->get<std::string>();
    return;
  }
  if (!modules->is_array() || !std::ranges::all_of(*modules, [](const json& t) { return t.is_string(); })) {
    reader.refuse(fmt::format("{} must be a list of names, or one text", key));
  }
  names = modules->get<std::vector<std::string>>();
  std::ranges::sort(names);
}

bool is_among(const std::vector<std::string>& names, const std::string& path) {
  return std::ranges::any_of(names, [&](const std::string& name) { return ends_with_name(path, name); });
}

std::int64_t layer_number(const ConfigReader& reader, const json& value) {
  if (!value.is_number_integer() || value < 0) {
    reader.refuse(
        fmt::format("layers_to_transform must be a layer's number or a list of them (got {})", value.dump().substr(0, 40)));
  }
  return value.get<std::int64_t>();
}

void read_layers(const ConfigReader& reader, PeftConfig& config) {
  if (const json* layers = reader.find("layers_to_transform"); layers != nullptr) {
    for (const json& layer : layers->is_array() ? *layers : json::array({*layers})) {
      config.layers_to_transform.push_back(layer_number(reader, layer));
    }
  }
  if (const json* patterns = reader.find("layers_pattern"); patterns != nullptr) {
    for (const json& pattern : patterns->is_array() ? *patterns : json::array({*patterns})) {
      if (!pattern.is_string() || !problem_of_pattern(pattern.get<std::string>()).empty()) {
        reader.refuse("layers_pattern must be a name or a list of names");
      }
      config.layers_pattern.push_back(pattern.get<std::string>());
    }
  }
}

void read_feedforward(const ConfigReader& reader, PeftConfig& config) {
  std::string pattern;
  read_modules(reader, "feedforward_modules", config.feedforward_modules, pattern);
  if (!pattern.empty()) {
    reader.refuse("feedforward_modules must be a list of names; a regular expression is not read");
  }
}

}  // namespace

bool is_targeted(const PeftConfig& config, const std::string& path) {
  const auto matches = [&](const std::string& pattern, bool otherwise) {
    const bool understood = !pattern.empty() && problem_of_pattern(pattern).empty();
    return understood ? path_matches(pattern, path) : otherwise;
  };
  if (is_among(config.exclude_modules, path) || matches(config.exclude_pattern, false)) {
    return false;
  }
  if (config.target_modules.empty()) {
    return config.target_pattern == "all-linear" || matches(config.target_pattern, true);
  }
  return is_among(config.target_modules, path);
}

bool is_transformed(const PeftConfig& config, const std::string& path) {
  if (config.layers_to_transform.empty()) {
    return true;
  }
  std::vector<std::string> patterns = {".*?\\.[^.]*"};  // PEFT's default
  if (!config.layers_pattern.empty()) {
    patterns.clear();
    for (const std::string& pattern : config.layers_pattern) {
      patterns.push_back("(?:|.*?\\.)(?:" + pattern + ")");
    }
  }
  for (const std::string& pattern : patterns) {
    if (const std::optional<std::int64_t> layer = number_after(pattern, path)) {
      return std::find(config.layers_to_transform.begin(), config.layers_to_transform.end(), *layer) !=
             config.layers_to_transform.end();
    }
  }
  return false;
}

std::int64_t rank_of(const PeftConfig& config, const std::string& path) { return value_at(config.rank_pattern, path, config.r); }

double alpha_of(const PeftConfig& config, const std::string& path) { return value_at(config.alpha_pattern, path, config.alpha); }

double scale_of(const PeftConfig& config, const std::string& path) {
  return lora_scale(alpha_of(config, path), rank_of(config, path), config.use_rslora);
}

PeftConfig read_adapter_config(const std::filesystem::path& file) {
  const nlohmann::ordered_json in_order = read_ordered_json_file(file, ExitCode::model);
  const json document(in_order);
  const ConfigReader reader(document, file);
  if (!document.is_object()) {
    reader.refuse("it is not an object");
  }
  refuse_unrepresented(reader);
  PeftConfig config;
  if (const json* r = reader.find("r"); r != nullptr) {
    config.r = reader.rank("r", *r);
  }
  if (const json* alpha = reader.find("lora_alpha"); alpha != nullptr) {
    config.alpha = reader.finite("lora_alpha", *alpha);
  }
  if (const json* dropout = reader.find("lora_dropout"); dropout != nullptr) {
    config.dropout = reader.finite("lora_dropout", *dropout);
  }
  if (config.dropout < 0 || config.dropout >= 1) {
    reader.refuse(fmt::format("lora_dropout must be at least 0 and below 1 (got {})", config.dropout));
  }
  config.use_rslora = reader.flag("use_rslora", false);
  const bool ia3 = reader.text("peft_type", "") == "IA3";
  config.method = ia3 ? Method::ia3 : reader.flag("use_dora", false) ? Method::dora : Method::lora;
  config.fan_in_fan_out = reader.flag("fan_in_fan_out", false);
  config.base_model_name_or_path = reader.text("base_model_name_or_path", "");
  config.task_type = reader.text("task_type", "CAUSAL_LM");
  read_modules(reader, "target_modules", config.target_modules, config.target_pattern);  // absent in old files
  read_modules(reader, "exclude_modules", config.exclude_modules, config.exclude_pattern);
  config.rank_pattern = reader.pattern("rank_pattern", in_order,
                                       [&](const std::string& key, const json& value) { return reader.rank(key, value); });
  config.alpha_pattern = reader.pattern("alpha_pattern", in_order,
                                        [&](const std::string& key, const json& value) { return reader.finite(key, value); });
  read_layers(reader, config);
  if (ia3) {
    read_feedforward(reader, config);
  }
  return config;
}

}  // namespace lora_dist
