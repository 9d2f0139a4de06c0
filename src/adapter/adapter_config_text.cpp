// Writes adapter_config.json.
#include <map>
#include <nlohmann/json.hpp>

#include "src/adapter/adapter_config.h"
#include "src/adapter/config_reader.h"
#include "src/adapter/method.h"
#include "src/adapter/trained_modules_folder.h"

namespace lora_dist {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// The keys that the files of all methods have.
json common_keys(const PeftConfig& config) {
  return {{"auto_mapping", nullptr}, {"base_model_name_or_path", config.base_model_name_or_path},
          {"inference_mode", true},  {"modules_to_save", nullptr},
          {"revision", nullptr},     {"task_type", config.task_type}};
}

/// The keys of methods that adapt modules.
json module_keys(const PeftConfig& config) {
  return {{"fan_in_fan_out", config.fan_in_fan_out},
          {"target_modules", config.target_pattern.empty() ? sorted_names(config.target_modules) : json(config.target_pattern)}};
}

}  // namespace

std::string adapter_config_text(const PeftConfig& config) {
  const AdapterMethod& method = method_of(config.method);
  const PeftCodec& codec = method.peft;
  ordered_json document(common_keys(config));
  if (method.virtual_place == VirtualPlace::none) {
    document.update(ordered_json(module_keys(config)));
  }
  document["peft_type"] = codec.type;
  document.update(codec.keys(config));
  if (method.trains_modules) {
    document.update(trained_module_keys(config));
  }
  std::map<std::string, ordered_json> sorted;  // the keys; patterns keep their order
  for (const auto& [key, value] : document.items()) {
    sorted.emplace(key, value);
  }
  ordered_json text;
  for (const auto& [key, value] : sorted) {
    text[key] = value;
  }
  return text.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace lora_dist
