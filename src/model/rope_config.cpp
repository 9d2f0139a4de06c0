// Reads the rotation settings of config.json, which may be given once, twice, or in conflict (contract: transformers,
// modeling_rope_utils.py, convert_rope_params_to_dict and standardize_rope_params).
#include <fmt/format.h>

#include "src/model/config_file.h"

namespace lora_dist {

namespace {

using nlohmann::json;

constexpr std::int64_t kMostPositions = std::int64_t{1} << 40;

/// Python's truthiness.
bool says_something(const ConfigFile& file, const char* key) {
  return file.has(key) && file.root[key] != false && !(file.root[key].is_structured() && file.root[key].empty());
}

const char* rope_key(const ConfigFile& file) { return says_something(file, "rope_scaling") ? "rope_scaling" : "rope_parameters"; }

void warn(const ConfigFile& file, ModelSpec& spec, const std::string& what) {
  spec.warnings.push_back(fmt::format("{}: {}", file.path.string(), what));
}

/// Warns if the two objects differ, or theta in the object and at the root.
void warn_of_disagreement(const ConfigFile& file, const json& object, const char* theta_key, ModelSpec& spec) {
  if (says_something(file, "rope_scaling") && says_something(file, "rope_parameters") &&
      file.root["rope_scaling"] != file.root["rope_parameters"]) {
    warn(file, spec, "rope_scaling and rope_parameters differ; rope_scaling is used, as in transformers; remove one of them");
  }
  if (ConfigFile::has(object, "rope_theta") && file.has(theta_key) && object["rope_theta"] != file.root[theta_key]) {
    warn(file, spec,
         fmt::format("{} is {} and rope_theta of {} is {}; the latter is used, as in transformers", theta_key,
                     ConfigFile::shown(file.root[theta_key]), rope_key(file), ConfigFile::shown(object["rope_theta"])));
  }
}

/// Only GPT-NeoX rotates a part of each head; for other families transformers ignores the key or fails, by the type of rotation.
void check_partial_rotation(const ConfigFile& file, const json& object, const RopeConfig& rope, ModelSpec& spec) {
  constexpr const char* kKey = "partial_rotary_factor";
  if (spec.model_type == "gpt_neox" || file.positive_or(object, kKey, file.positive_or(kKey, 1.0)) == 1.0) {
    return;
  }
  if (rope.type != "default") {
    file.fail(fmt::format("{} beside rope type \"{}\" is not supported for {} models", kKey, rope.type, spec.model_type));
  }
  warn(file, spec, fmt::format("{} is not used: {} models rotate whole heads, as in transformers", kKey, spec.model_type));
}

double required(const ConfigFile& file, const RopeConfig& rope, const json& object, const char* key) {
  if (!ConfigFile::has(object, key)) {
    file.fail(fmt::format("rope type \"{}\" needs {} in {}", rope.type, key, rope_key(file)));
  }
  return file.positive_or(object, key, 1.0);
}

/// The root's key has precedence, as in transformers 5.
std::int64_t original_positions(const ConfigFile& file, const json& object, std::int64_t otherwise) {
  constexpr const char* kKey = "original_max_position_embeddings";
  if (file.has(kKey)) {
    return file.integer(kKey, 1, kMostPositions);
  }
  return ConfigFile::has(object, kKey) ? file.integer(object, kKey, 1, kMostPositions) : otherwise;
}

void read_llama3(const ConfigFile& file, const json& object, const ModelSpec& spec, RopeConfig& rope) {
  rope.low_freq_factor = required(file, rope, object, "low_freq_factor");
  rope.high_freq_factor = required(file, rope, object, "high_freq_factor");
  rope.original_positions = original_positions(file, object, spec.max_positions);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    file.fail("rope scaling llama3 needs high_freq_factor above low_freq_factor");
  }
}

}  // namespace

json rope_object(const ConfigFile& file) {
  const char* key = rope_key(file);
  const json object = says_something(file, key) ? file.root[key] : json::object();
  if (!object.is_object()) {
    file.fail(fmt::format("key \"{}\" must be an object", key));
  }
  if (object.contains("full_attention") || object.contains("sliding_attention")) {
    file.fail(fmt::format("key \"{}\" gives each kind of layer its own rotation, which is not supported", key));
  }
  return object;
}

RopeConfig read_rope(const ConfigFile& file, ModelSpec& spec, const char* theta_key) {
  RopeConfig rope;
  const json object = rope_object(file);
  rope.theta = file.positive_or(object, "rope_theta", file.positive_or(theta_key, rope.theta));
  rope.type = file.text_or(object, "rope_type", file.text_or(object, "type", "default"));
  warn_of_disagreement(file, object, theta_key, spec);
  check_partial_rotation(file, object, rope, spec);
  if (rope.type == "default") {
    return rope;
  }
  if (rope.type != "linear" && rope.type != "llama3") {
    file.fail(fmt::format("rope type \"{}\" is not supported (default, linear and llama3 are)", rope.type));
  }
  rope.factor = required(file, rope, object, "factor");
  if (rope.type == "llama3") {
    read_llama3(file, object, spec, rope);
  }
  return rope;
}

}  // namespace lora_dist
