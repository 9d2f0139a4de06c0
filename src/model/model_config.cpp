// Reads and checks config.json, and makes the table of rotations.
#include "src/model/model_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "src/core/error.h"
#include "src/io/strict_json.h"

namespace lora_dist {

namespace {

using nlohmann::json;

/// config.json with the file's name at hand for messages.
struct ConfigFile {
  std::filesystem::path path;
  json root;

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ExitCode::model, fmt::format("{}: {}", path.string(), what));
  }

  /// A value as the message shows it: no more than a few words of it.
  static std::string shown(const json& value) {
    constexpr std::size_t kMost = 40;
    const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
    return text.size() > kMost ? text.substr(0, kMost) + "..." : text;
  }

  bool has(const json& object, const char* key) const { return object.contains(key) && !object[key].is_null(); }

  std::int64_t integer(const json& object, const char* key, std::int64_t low, std::int64_t high) const {
    if (!has(object, key)) {
      fail(fmt::format("key \"{}\" is missing; is this the config.json of a Llama model?", key));
    }
    if (!object[key].is_number_integer() && !object[key].is_number_unsigned()) {
      fail(fmt::format("key \"{}\" must be an integer (got {})", key, shown(object[key])));
    }
    const bool too_big = object[key].is_number_unsigned() && object[key].get<std::uint64_t>() > static_cast<std::uint64_t>(high);
    const std::int64_t value = too_big ? 0 : object[key].get<std::int64_t>();
    if (too_big || value < low || value > high) {
      fail(fmt::format("key \"{}\" must be from {} to {} (got {})", key, low, high, shown(object[key])));
    }
    return value;
  }

  std::int64_t integer_or(const json& object, const char* key, std::int64_t otherwise, std::int64_t low,
                          std::int64_t high) const {
    return has(object, key) ? integer(object, key, low, high) : otherwise;
  }

  double positive_or(const json& object, const char* key, double otherwise) const {
    if (!has(object, key)) {
      return otherwise;
    }
    if (!object[key].is_number() || !(object[key].get<double>() > 0.0) || !std::isfinite(object[key].get<double>())) {
      fail(fmt::format("key \"{}\" must be a number above 0 (got {})", key, shown(object[key])));
    }
    return object[key].get<double>();
  }

  bool boolean_or(const json& object, const char* key, bool otherwise) const {
    if (!has(object, key)) {
      return otherwise;
    }
    if (!object[key].is_boolean()) {
      fail(fmt::format("key \"{}\" must be true or false (got {})", key, shown(object[key])));
    }
    return object[key].get<bool>();
  }

  std::string text_or(const json& object, const char* key, const std::string& otherwise) const {
    if (!has(object, key)) {
      return otherwise;
    }
    if (!object[key].is_string()) {
      fail(fmt::format("key \"{}\" must be a string (got {})", key, shown(object[key])));
    }
    return object[key].get<std::string>();
  }
};

/// transformers 5 keeps everything in rope_parameters; 4 has rope_theta and, when scaled, rope_scaling.
RopeConfig read_rope(const ConfigFile& file) {
  RopeConfig rope;
  const json none = json::object();
  const char* key = file.has(file.root, "rope_parameters") ? "rope_parameters" : "rope_scaling";
  const json& scaling = file.has(file.root, key) ? file.root[key] : none;
  if (!scaling.is_object()) {
    file.fail(fmt::format("key \"{}\" must be an object", key));
  }
  rope.theta = file.positive_or(scaling, "rope_theta", file.positive_or(file.root, "rope_theta", rope.theta));
  rope.type = file.text_or(scaling, "rope_type", file.text_or(scaling, "type", "default"));
  if (rope.type == "default") {
    return rope;
  }
  if (rope.type != "linear" && rope.type != "llama3") {
    file.fail(fmt::format("rope type \"{}\" is not supported (default, linear and llama3 are)", rope.type));
  }
  rope.factor = file.positive_or(scaling, "factor", 1.0);
  rope.low_freq_factor = file.positive_or(scaling, "low_freq_factor", rope.low_freq_factor);
  rope.high_freq_factor = file.positive_or(scaling, "high_freq_factor", rope.high_freq_factor);
  rope.original_positions =
      file.integer_or(scaling, "original_max_position_embeddings", rope.original_positions, 1, std::int64_t{1} << 40);
  if (rope.type == "llama3" && rope.high_freq_factor <= rope.low_freq_factor) {
    file.fail("rope scaling llama3 needs high_freq_factor above low_freq_factor");
  }
  return rope;
}

void read_special_ids(const ConfigFile& file, ModelSpec& config) {
  const auto keep = [&](const char* name, const json& value) -> std::int64_t {
    if (!value.is_number_integer()) {
      file.fail(fmt::format("key \"{}\" must be an integer or a list of integers (got {})", name, file.shown(value)));
    }
    const std::int64_t id = value.get<std::int64_t>();
    if (id < 0 || id >= config.vocab) {
      config.warnings.push_back(
          fmt::format("{}: {} {} lies outside the vocabulary of {} and is ignored", file.path.string(), name, id, config.vocab));
      return -1;
    }
    return id;
  };
  if (file.has(file.root, "bos_token_id")) {
    config.bos_id = keep("bos_token_id", file.root["bos_token_id"]);
  }
  if (file.has(file.root, "eos_token_id")) {
    const json& eos = file.root["eos_token_id"];
    for (const json& item : eos.is_array() ? eos : json::array({eos})) {
      const std::int64_t id = keep("eos_token_id", item);
      if (id >= 0) {
        config.eos_ids.push_back(id);
      }
    }
  }
}

void check_shape(const ConfigFile& file, const ModelSpec& config) {
  if (config.heads % config.kv_heads != 0) {
    file.fail(
        fmt::format("num_attention_heads ({}) must be a multiple of num_key_value_heads ({})", config.heads, config.kv_heads));
  }
  if (config.head_dim % 2 != 0) {
    file.fail(fmt::format("head_dim ({}) must be even", config.head_dim));
  }
  const std::string activation = file.text_or(file.root, "hidden_act", "silu");
  if (activation != "silu") {
    file.fail(fmt::format("hidden_act \"{}\" is not supported for model_type \"llama\" (silu is)", activation));
  }
}

/// Inverse frequencies in fp32, as transformers' _compute_default_rope_parameters and its scaled variants compute them.
std::vector<float> inverse_frequencies(const ModelSpec& config) {
  const RopeConfig& rope = config.rope;
  std::vector<float> inverse(static_cast<std::size_t>(config.head_dim / 2));
  for (std::size_t i = 0; i < inverse.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config.head_dim);
    inverse[i] = 1.0F / std::pow(static_cast<float>(rope.theta), exponent);
    if (rope.type == "linear") {
      inverse[i] /= static_cast<float>(rope.factor);
    }
    if (rope.type == "llama3") {
      const auto original = static_cast<double>(rope.original_positions);
      const double wavelength = 2.0 * std::numbers::pi / static_cast<double>(inverse[i]);
      if (wavelength > original / rope.low_freq_factor) {
        inverse[i] /= static_cast<float>(rope.factor);
      } else if (wavelength >= original / rope.high_freq_factor) {
        const double smooth = (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
        inverse[i] = static_cast<float>((1.0 - smooth) * inverse[i] / rope.factor + smooth * inverse[i]);
      }
    }
  }
  return inverse;
}

}  // namespace

ModelSpec read_model_config(const std::filesystem::path& folder) {
  ConfigFile file{folder / "config.json", {}};
  if (std::error_code ignored; !std::filesystem::is_directory(folder, ignored)) {
    throw Error(
        ExitCode::model,
        fmt::format(
            "{}: no such model folder; give a local Hugging Face folder in model.path or --model (nothing is ever downloaded)",
            folder.string()));
  }
  file.root = read_json_file(file.path, ExitCode::model);
  if (!file.root.is_object()) {
    file.fail("must hold a JSON object");
  }
  constexpr std::int64_t kLimit = std::int64_t{1} << 31;
  ModelSpec config;
  config.model_type = file.text_or(file.root, "model_type", "");
  if (config.model_type != "llama") {
    file.fail(fmt::format("model_type \"{}\" is not supported (llama is)", config.model_type));
  }
  if (file.has(file.root, "quantization_config")) {
    file.fail("the weights of this folder are already quantized; give the folder with the original weights");
  }
  config.hidden = file.integer(file.root, "hidden_size", 1, kLimit);
  config.layers = file.integer(file.root, "num_hidden_layers", 1, 100000);
  config.heads = file.integer(file.root, "num_attention_heads", 1, 65536);
  config.kv_heads = file.integer_or(file.root, "num_key_value_heads", config.heads, 1, 65536);
  if (!file.has(file.root, "head_dim") && config.hidden % config.heads != 0) {
    file.fail(fmt::format("hidden_size ({}) must be a multiple of num_attention_heads ({}) where head_dim is not given",
                          config.hidden, config.heads));
  }
  config.head_dim = file.integer_or(file.root, "head_dim", config.hidden / config.heads, 2, 65536);
  config.intermediate = file.integer(file.root, "intermediate_size", 1, kLimit);
  config.vocab = file.integer(file.root, "vocab_size", 1, kLimit - 1);
  config.max_positions = file.integer_or(file.root, "max_position_embeddings", 2048, 1, kLimit);
  config.norm_eps = static_cast<float>(file.positive_or(file.root, "rms_norm_eps", 1e-6));
  config.rope = read_rope(file);
  config.tied_head = file.boolean_or(file.root, "tie_word_embeddings", false);
  config.attention_bias = file.boolean_or(file.root, "attention_bias", false);
  config.mlp_bias = file.boolean_or(file.root, "mlp_bias", false);
  check_shape(file, config);
  read_special_ids(file, config);
  return config;
}

std::vector<float> make_rope_table(const ModelSpec& config, std::int64_t positions) {
  const std::vector<float> inverse = inverse_frequencies(config);
  const std::size_t half = inverse.size();
  std::vector<float> table(static_cast<std::size_t>(positions) * half * 2);
  for (std::size_t p = 0; p < static_cast<std::size_t>(positions); ++p) {
    for (std::size_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(p) * inverse[i];
      table[p * 2 * half + i] = std::cos(angle);
      table[p * 2 * half + half + i] = std::sin(angle);
    }
  }
  return table;
}

}  // namespace lora_dist
