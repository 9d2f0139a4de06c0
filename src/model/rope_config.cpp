// Reads the rotation settings of config.json, which may be given once, twice, or in conflict (contract: transformers,
// modeling_rope_utils.py, convert_rope_params_to_dict and standardize_rope_params).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "src/model/config_file.h"

namespace lora_dist {

namespace {

using nlohmann::json;

constexpr const char* kPartKey = "partial_rotary_factor";
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

/// Most families rotate whole heads: transformers ignores the key for them, or fails, by the type of rotation.
void check_whole_rotation(const ConfigFile& file, const json& object, const RopeConfig& rope, ModelSpec& spec) {
  if (file.positive_or(object, kPartKey, file.positive_or(kPartKey, 1.0)) == 1.0) {
    return;
  }
  if (rope.type != "default") {
    file.fail(fmt::format("{} beside rope type \"{}\" is not supported for {} models", kPartKey, rope.type, spec.model_type));
  }
  warn(file, spec, fmt::format("{} is not used: {} models rotate whole heads, as in transformers", kPartKey, spec.model_type));
}

/// The rotated dimensions of a head; 0: all.
std::int64_t rotated_dims(const ConfigFile& file, const json& object, const ModelSpec& spec, const RopeKeys& keys) {
  const double part = file.positive_or(object, kPartKey, file.positive_or(keys.part_key, keys.part));
  const auto dims = static_cast<std::int64_t>(static_cast<double>(spec.head_dim) * part);
  if (dims < 1 || part > 1.0) {
    file.fail(fmt::format("{} must leave at least one dimension of a head to rotate, and at most all of them", keys.part_key));
  }
  return dims == spec.head_dim ? 0 : dims;
}

double required(const ConfigFile& file, const RopeConfig& rope, const json& object, const char* key) {
  if (!ConfigFile::has(object, key)) {
    file.fail(fmt::format("rope type \"{}\" needs {} in {}", rope.type, key, rope_key(file)));
  }
  return file.positive_or(object, key, 1.0);
}

void read_llama3(const ConfigFile& file, const json& object, const ModelSpec& spec, RopeConfig& rope) {
  rope.low_freq_factor = required(file, rope, object, "low_freq_factor");
  rope.high_freq_factor = required(file, rope, object, "high_freq_factor");
  rope.original_positions = original_positions(file, object, spec.max_positions);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    file.fail("rope scaling llama3 needs high_freq_factor above low_freq_factor");
  }
}

/// The stretching factor of yarn and longrope: that of the object, or by how much the positions have grown.
void read_grown_positions(const ConfigFile& file, const json& object, const ModelSpec& spec, const RopeKeys& keys,
                          RopeConfig& rope) {
  rope.original_positions = keys.original_positions > 0 ? original_positions(file, json::object(), keys.original_positions)
                                                        : original_positions(file, object, spec.max_positions);
  rope.factor =
      file.positive_or(object, "factor", static_cast<double>(spec.max_positions) / static_cast<double>(rope.original_positions));
}

void read_yarn(const ConfigFile& file, const json& object, const ModelSpec& spec, const RopeKeys& keys, RopeConfig& rope) {
  if (!object.contains("factor")) {
    required(file, rope, object, "factor");
  }
  read_grown_positions(file, object, spec, keys, rope);
  rope.beta_fast = file.positive_or(object, "beta_fast", rope.beta_fast);
  rope.beta_slow = file.positive_or(object, "beta_slow", rope.beta_slow);
  rope.truncate = !object.contains("truncate") || object["truncate"] != false;
  const auto scale_of = [&](double multiplier) {
    return rope.factor <= 1.0 ? 1.0 : 0.1 * multiplier * std::log(rope.factor) + 1.0;
  };
  const auto multiplier = [&](const char* key) { return ConfigFile::has(object, key) && object[key] != 0; };
  rope.attention_factor =
      multiplier("mscale") && multiplier("mscale_all_dim")
          ? scale_of(file.positive_or(object, "mscale", 1.0)) / scale_of(file.positive_or(object, "mscale_all_dim", 1.0))
          : scale_of(1.0);
  rope.attention_factor = file.positive_or(object, "attention_factor", rope.attention_factor);
}

std::vector<double> read_factors(const ConfigFile& file, const json& object, const char* key, std::size_t count) {
  const json values = object.contains(key) ? object[key] : json();
  const bool numbers = values.is_array() && values.size() == count && std::ranges::all_of(values, [](const json& value) {
                         return value.is_number() && value.get<double>() > 0.0;
                       });
  if (!numbers) {
    file.fail(fmt::format("rope type \"longrope\" needs {} in {}, a list of {} numbers above 0", key, rope_key(file), count));
  }
  return values.get<std::vector<double>>();
}

void read_longrope(const ConfigFile& file, const json& object, const ModelSpec& spec, const RopeKeys& keys, RopeConfig& rope) {
  read_grown_positions(file, object, spec, keys, rope);
  if (rope.original_positions < 2) {
    file.fail("rope type \"longrope\" needs original_max_position_embeddings above 1");
  }
  const auto count = static_cast<std::size_t>(((rope.dims > 0 ? rope.dims : spec.head_dim) + 1) / 2);
  rope.short_factors = read_factors(file, object, "short_factor", count);
  rope.long_factors = read_factors(file, object, "long_factor", count);
  const double grown =
      rope.factor <= 1.0 ? 1.0 : std::sqrt(1.0 + std::log(rope.factor) / std::log(static_cast<double>(rope.original_positions)));
  rope.attention_factor = file.positive_or(object, "attention_factor", grown);
}

/// What the types of rotation need beyond theta.
void read_scaling(const ConfigFile& file, const json& object, const ModelSpec& spec, const RopeKeys& keys, RopeConfig& rope) {
  if (rope.type == "yarn") {
    read_yarn(file, object, spec, keys, rope);
  } else if (rope.type == "longrope") {
    read_longrope(file, object, spec, keys, rope);
  } else if (rope.type == "linear" || rope.type == "llama3" || rope.type == "dynamic") {
    rope.factor = required(file, rope, object, "factor");
    if (rope.type == "llama3") {
      read_llama3(file, object, spec, rope);
    }
  } else if (rope.type != "default") {
    file.fail(
        fmt::format("rope type \"{}\" is not supported (default, dynamic, linear, llama3, longrope and yarn are)", rope.type));
  }
}

RopeConfig rope_of(const ConfigFile& file, const json& object, ModelSpec& spec, const RopeKeys& keys) {
  RopeConfig rope;
  rope.theta = file.positive_or(object, "rope_theta", file.positive_or(keys.theta_key, keys.theta));
  rope.type = file.text_or(object, "rope_type", file.text_or(object, "type", "default"));
  if (spec.model_type == "phi3" && (rope.type == "su" || rope.type == "yarn")) {
    rope.type = "longrope";  // its names in early files
  }
  if (keys.partial) {
    rope.dims = rotated_dims(file, object, spec, keys);
  } else {
    check_whole_rotation(file, object, rope, spec);
  }
  read_scaling(file, object, spec, keys, rope);
  return rope;
}

}  // namespace

std::int64_t original_positions(const ConfigFile& file, const json& object, std::int64_t otherwise) {
  constexpr const char* kKey = "original_max_position_embeddings";
  if (file.has(kKey)) {
    return file.integer(kKey, 1, kMostPositions);
  }
  return ConfigFile::has(object, kKey) ? file.integer(object, kKey, 1, kMostPositions) : otherwise;
}

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

RopeConfig read_rope(const ConfigFile& file, ModelSpec& spec, const RopeKeys& keys) {
  const json object = rope_object(file);
  warn_of_disagreement(file, object, keys.theta_key, spec);
  return rope_of(file, object, spec, keys);
}

RopeConfig read_rope_of_layers(const ConfigFile& file, ModelSpec& spec, const char* kind, bool scaled, const RopeKeys& keys) {
  json object = json::object();
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (says_something(file, key) && !file.root[key].is_object()) {
      file.fail(fmt::format("key \"{}\" must be an object", key));
    }
  }
  if (says_something(file, "rope_parameters")) {
    const json& kinds = file.root["rope_parameters"];
    if (ConfigFile::has(kinds, kind)) {
      object = kinds[kind];
    } else if (kinds.contains("rope_type") || kinds.contains("rope_theta") || kinds.contains("factor")) {
      warn(file, spec,
           fmt::format("rope_parameters has no object for {} layers; what it says for all layers is not used, as in transformers",
                       kind));
    }
  }
  if (!object.is_object()) {
    file.fail(fmt::format("key \"rope_parameters\" must have an object for {}", kind));
  }
  if (scaled && says_something(file, "rope_scaling")) {
    object.update(file.root["rope_scaling"]);
  }
  RopeConfig rope = rope_of(file, object, spec, keys);
  if (rope.type == "dynamic" || rope.type == "longrope") {
    file.fail(fmt::format("rope type \"{}\" is not supported for {} models", rope.type, spec.model_type));
  }
  return rope;
}

}  // namespace lora_dist
