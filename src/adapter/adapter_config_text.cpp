// Writes adapter_config.json.
#include <cmath>
#include <nlohmann/json.hpp>

#include "src/adapter/adapter_config.h"

namespace lora_dist {
namespace {

using nlohmann::json;

/// PEFT writes whole numbers as integers, and some readers insist on them.
json number(double value) {
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  return whole ? json(static_cast<std::int64_t>(value)) : json(value);
}

json sorted(std::vector<std::string> names) {
  std::ranges::sort(names);
  return names;
}

/// The keys that the files of all methods have.
json common_keys(const PeftConfig& config) {
  return {{"auto_mapping", nullptr},
          {"base_model_name_or_path", config.base_model_name_or_path},
          {"fan_in_fan_out", config.fan_in_fan_out},
          {"inference_mode", true},
          {"modules_to_save", nullptr},
          {"revision", nullptr},
          {"target_modules", config.target_pattern.empty() ? sorted(config.target_modules) : json(config.target_pattern)},
          {"task_type", config.task_type}};
}

json lora_keys(const PeftConfig& config) {
  return {{"alpha_pattern", nullptr},
          {"bias", "none"},
          {"init_lora_weights", true},
          {"layer_replication", nullptr},
          {"layers_pattern", nullptr},
          {"layers_to_transform", nullptr},
          {"loftq_config", json::object()},
          {"lora_alpha", number(config.alpha)},
          {"lora_dropout", config.dropout},
          {"megatron_config", nullptr},
          {"megatron_core", "megatron.core"},
          {"peft_type", "LORA"},
          {"r", config.r},
          {"rank_pattern", nullptr},
          {"use_dora", config.method == Method::dora},
          {"use_rslora", config.use_rslora}};
}

json ia3_keys(const PeftConfig& config) {
  return {{"exclude_modules", nullptr},
          {"feedforward_modules", sorted(config.feedforward_modules)},
          {"init_ia3_weights", true},
          {"peft_type", "IA3"}};
}

template <class Value, class Text>
nlohmann::ordered_json pattern_object(const PathPattern<Value>& pattern, Text text) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [key, value] : pattern) {
    object[key] = text(value);
  }
  return object;
}

}  // namespace

std::string adapter_config_text(const PeftConfig& config) {
  json document = common_keys(config);
  document.update(config.method == Method::ia3 ? ia3_keys(config) : lora_keys(config));
  nlohmann::ordered_json text(document);  // keys are sorted, except patterns: their first match decides
  if (config.method != Method::ia3) {
    text["alpha_pattern"] = pattern_object(config.alpha_pattern, number);
    text["rank_pattern"] = pattern_object(config.rank_pattern, [](std::int64_t rank) { return rank; });
  }
  return text.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace lora_dist
