// Reads adapter_config.json, and applies its rules to modules.
#include "src/adapter/adapter_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "src/adapter/bottleneck_folder.h"
#include "src/adapter/config_reader.h"
#include "src/adapter/method.h"
#include "src/adapter/path_pattern.h"
#include "src/adapter/trained_modules_folder.h"
#include "src/core/error.h"
#include "src/core/words.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;

/// Unsupported keys that change what the adapter computes or adapts; each must be absent, null, false or empty.
constexpr const char* kNotRepresented[] = {"use_qalora",    "lora_bias",        "use_bdlora",        "layer_replication",
                                           "arrow_config",  "kasa_config",      "monteclora_config", "alora_invocation_tokens",
                                           "velora_config", "target_parameters"};
/// The same of methods other than those that train modules whole.
constexpr const char* kOfTrainedModules[] = {"modules_to_save", "trainable_token_indices"};

/// Initialisations that also change the base weights: such an adapter is invalid on the original base. Those that can be repeated
/// from the original base are read.
constexpr const char* kBaseChangingInits[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};

bool is_off(const json& value) {
  return value == false || ((value.is_array() || value.is_object() || value.is_string()) && value.empty());
}

/// The row whose folder this is.
const AdapterMethod& method_in(const ConfigReader& reader) {
  const std::string type = reader.text("peft_type", "");
  std::vector<std::string_view> types;
  for (const AdapterMethod* row : adapter_methods()) {
    if (row->peft.type == type && (row->peft.is_written_in == nullptr || row->peft.is_written_in(reader))) {
      return *row;
    }
    if (!row->peft.type.empty() && std::ranges::find(types, row->peft.type) == types.end()) {
      types.push_back(row->peft.type);
    }
  }
  reader.refuse(fmt::format("peft_type is \"{}\", and only {} adapters can be read", type, joined_words(types, "and")));
}

void refuse_keys(const ConfigReader& reader, std::span<const char* const> keys, std::string_view method) {
  for (const char* key : keys) {
    if (const json* value = reader.find(key); value != nullptr && !is_off(*value)) {
      reader.refuse(fmt::format("{} is {}, which this program does not do{}; train or export the adapter without it", key,
                                value->dump().substr(0, 80), method));
    }
  }
}

void refuse_unrepresented(const ConfigReader& reader, const AdapterMethod& method) {
  refuse_keys(reader, kNotRepresented, "");
  if (!method.trains_modules) {
    refuse_keys(reader, kOfTrainedModules, fmt::format(" with {}", method.name));
  }
  if (const std::string bias = reader.text("bias", "none"); bias != "none") {
    reader.refuse(fmt::format("bias is \"{}\": the adapter also trains biases, which this program does not do", bias));
  }
}

/// The initialisation that the adapter's weights are relative to.
LoraInit init_in(const ConfigReader& reader) {
  const json* value = reader.find("init_lora_weights");
  const std::string init = value != nullptr && value->is_string() ? value->get<std::string>() : "";
  if ((init == "pissa" || init == "olora") && reader.text("peft_type", "") == "LORA" && !reader.flag("use_dora", false)) {
    return *value_of_word(kLoraInits, init);
  }
  for (const char* prefix : kBaseChangingInits) {
    if (init.starts_with(prefix)) {
      reader.refuse(fmt::format(
          "init_lora_weights is \"{}\", which changes the base model's weights; convert the adapter to plain LoRA in PEFT "
          "(save_pretrained with path_initial_model_for_weight_conversion)",
          init));
    }
  }
  return LoraInit::uniform;
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

std::int64_t stored_rank(const PeftConfig& config, const std::string& path) {
  const auto found = config.kept_ranks.find(path);
  return found == config.kept_ranks.end() ? rank_of(config, path) : std::count(found->second.begin(), found->second.end(), true);
}

double scale_of(const PeftConfig& config, const std::string& path) {
  return method_of(config.method).scale(alpha_of(config, path), rank_of(config, path), config.use_rslora);
}

PeftConfig read_adapter_config(const std::filesystem::path& file) {
  const nlohmann::ordered_json in_order = read_ordered_json_file(file, ExitCode::model);
  const ConfigReader reader(in_order, file);
  if (!in_order.is_object()) {
    reader.refuse("it is not an object");
  }
  if (is_bottleneck_config(in_order)) {
    return bottleneck_config_in(in_order, file);
  }
  const AdapterMethod& method = method_in(reader);
  refuse_unrepresented(reader, method);
  PeftConfig config;
  config.method = value_of(method);
  config.init = init_in(reader);
  config.fan_in_fan_out = reader.flag("fan_in_fan_out", false);
  config.base_model_name_or_path = reader.text("base_model_name_or_path", "");
  config.task_type = reader.text("task_type", "CAUSAL_LM");
  reader.modules("target_modules", config.target_modules, config.target_pattern);  // absent in old files
  reader.modules("exclude_modules", config.exclude_modules, config.exclude_pattern);
  read_layers(reader, config);
  method.peft.read(reader, config);
  if (method.trains_modules) {
    read_trained_modules(reader, config);
  }
  return config;
}

}  // namespace lora_dist
