// Checked reading of config.json.
#include "src/model/config_file.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "src/core/error.h"

namespace lora_dist {

namespace {

using nlohmann::json;

constexpr std::int64_t kLimit = std::int64_t{1} << 31;

}  // namespace

void ConfigFile::fail(const std::string& what) const { throw Error(ExitCode::model, fmt::format("{}: {}", path.string(), what)); }

std::string ConfigFile::shown(const json& value) {
  constexpr std::size_t kMost = 40;
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() > kMost ? text.substr(0, kMost) + "..." : text;
}

std::int64_t ConfigFile::integer(const json& object, const char* key, std::int64_t low, std::int64_t high) const {
  if (!has(object, key)) {
    fail(fmt::format("key \"{}\" is missing; is this the config.json of a {} model?", key, text_or("model_type", "language")));
  }
  const json& value = object[key];
  if (!value.is_number_integer() && !value.is_number_unsigned()) {
    fail(fmt::format("key \"{}\" must be an integer (got {})", key, shown(value)));
  }
  const bool too_big = value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(high);
  const std::int64_t number = too_big ? 0 : value.get<std::int64_t>();
  if (too_big || number < low || number > high) {
    fail(fmt::format("key \"{}\" must be from {} to {} (got {})", key, low, high, shown(value)));
  }
  return number;
}

double ConfigFile::positive_or(const json& object, const char* key, double otherwise) const {
  if (!has(object, key)) {
    return otherwise;
  }
  if (!object[key].is_number() || !(object[key].get<double>() > 0.0) || !std::isfinite(object[key].get<double>())) {
    fail(fmt::format("key \"{}\" must be a number above 0 (got {})", key, shown(object[key])));
  }
  const double value = object[key].get<double>();
  if (value > std::numeric_limits<float>::max() || value < std::numeric_limits<float>::min()) {  // it is used as fp32
    fail(fmt::format("key \"{}\" is {}, which is outside of fp32's range", key, shown(object[key])));
  }
  return value;
}

bool ConfigFile::boolean_or(const char* key, bool otherwise) const {
  if (!has(key)) {
    return otherwise;
  }
  if (!root[key].is_boolean()) {
    fail(fmt::format("key \"{}\" must be true or false (got {})", key, shown(root[key])));
  }
  return root[key].get<bool>();
}

std::string ConfigFile::text_or(const json& object, const char* key, const std::string& otherwise) const {
  if (!has(object, key)) {
    return otherwise;
  }
  if (!object[key].is_string()) {
    fail(fmt::format("key \"{}\" must be a string (got {})", key, shown(object[key])));
  }
  return object[key].get<std::string>();
}

std::int64_t head_dim_of(const ConfigFile& file, const ModelSpec& spec, std::int64_t given) {
  if (given > 0) {
    return given;
  }
  if (spec.hidden % spec.heads != 0) {
    file.fail(fmt::format("the hidden size ({}) must be a multiple of the number of heads ({}) where head_dim is not given",
                          spec.hidden, spec.heads));
  }
  return spec.hidden / spec.heads;
}

void read_llama_keys(const ConfigFile& file, ModelSpec& spec, const LlamaDefaults& defaults) {
  spec.hidden = file.integer("hidden_size", 1, kLimit);
  spec.layers = file.integer("num_hidden_layers", 1, 100000);
  spec.heads = file.integer("num_attention_heads", 1, 65536);
  const bool own_kv_heads = defaults.kv_heads == 0 || file.given("num_key_value_heads");
  spec.kv_heads = file.integer_or("num_key_value_heads", own_kv_heads ? spec.heads : defaults.kv_heads, 1, 65536);
  spec.head_dim = head_dim_of(file, spec, file.integer_or("head_dim", defaults.head_dim, 1, 65536));
  spec.intermediate = file.integer("intermediate_size", 1, kLimit);
  spec.vocab = file.integer("vocab_size", 1, kLimit - 1);
  spec.max_positions = file.integer_or("max_position_embeddings", defaults.max_positions, 1, kLimit);
  spec.norm_eps = static_cast<float>(file.positive_or("rms_norm_eps", defaults.norm_eps));
  spec.activation = read_activation(file, "hidden_act", "silu");
  if (!defaults.own_rotation) {
    spec.rope = read_rope(file, spec, defaults.rope);
  }
  spec.tied_head = file.boolean_or("tie_word_embeddings", defaults.tied_head);
}

void set_biases(const ConfigFile& file, ModelSpec& spec) {
  const bool attention = file.boolean_or("attention_bias", false);
  const bool mlp = file.boolean_or("mlp_bias", false);
  for (const Linear linear : {Linear::q, Linear::k, Linear::v, Linear::o}) {
    spec.bias[index_of(linear)] = attention;
  }
  for (const Linear linear : {Linear::gate, Linear::up, Linear::down}) {
    spec.bias[index_of(linear)] = mlp;
  }
}

Activation read_activation(const ConfigFile& file, const char* key, const char* otherwise) {
  const std::string name = file.text_or(key, otherwise);
  if (name == "silu" || name == "swish") {
    return Activation::silu;
  }
  if (name == "gelu" || name == "gelu_python") {
    return Activation::gelu_erf;
  }
  if (name == "gelu_new" || name == "gelu_fast" || name == "gelu_pytorch_tanh" || name == "gelu_python_tanh" ||
      name == "gelu_accurate") {
    return Activation::gelu_tanh;
  }
  if (name == "relu2") {
    return Activation::relu_squared;
  }
  file.fail(fmt::format("{} \"{}\" is not supported (silu, gelu, gelu_new, gelu_pytorch_tanh and relu2 are)", key, name));
}

std::int64_t read_window(const ConfigFile& file, std::int64_t otherwise) {
  return file.given("sliding_window") ? file.integer_or("sliding_window", 0, 1, kLimit - 1) : otherwise;
}

bool read_layer_types(const ConfigFile& file, std::int64_t window, ModelSpec& spec) {
  if (!file.has("layer_types")) {
    return false;
  }
  const json& types = file.root["layer_types"];
  if (!types.is_array() || static_cast<std::int64_t>(types.size()) != spec.layers) {
    file.fail(fmt::format("key \"layer_types\" must be a list with an entry for each of the {} layers", spec.layers));
  }
  spec.layer_specs.resize(types.size());
  for (std::size_t layer = 0; layer < types.size(); ++layer) {
    const bool sliding = types[layer] == "sliding_attention";
    if (!sliding && types[layer] != "full_attention") {
      file.fail(fmt::format("key \"layer_types\" has {}, which is not supported (full_attention and sliding_attention are)",
                            ConfigFile::shown(types[layer])));
    }
    if (sliding && window == 0) {
      file.fail("key \"layer_types\" has \"sliding_attention\", but there is no sliding_window");
    }
    spec.layer_specs[layer].window = sliding ? window : 0;
  }
  return true;
}

void read_window_pattern(std::int64_t every, std::int64_t window, ModelSpec& spec) {
  for (std::int64_t layer = 0; LayerSpec & each : spec.each_layer()) {
    each.window = ++layer % every == 0 ? 0 : window;
  }
}

void read_window_layers(const ConfigFile& file, std::int64_t window, ModelSpec& spec) {
  if (window == 0 || read_layer_types(file, window, spec)) {
    return;
  }
  const std::int64_t first = file.integer_or("max_window_layers", 28, 0, kLimit);
  spec.layer_specs.resize(static_cast<std::size_t>(spec.layers));
  for (std::int64_t layer = first; layer < spec.layers; ++layer) {
    spec.layer_specs[static_cast<std::size_t>(layer)].window = window;
  }
}

void read_special_ids(const ConfigFile& file, ModelSpec& spec) {
  const auto keep = [&](const char* name, const json& value) -> std::int64_t {
    if (!value.is_number_integer()) {
      file.fail(fmt::format("key \"{}\" must be an integer or a list of integers (got {})", name, ConfigFile::shown(value)));
    }
    const std::int64_t id = value.get<std::int64_t>();
    if (id < 0 || id >= spec.vocab) {
      spec.warnings.push_back(
          fmt::format("{}: {} {} lies outside the vocabulary of {} and is ignored", file.path.string(), name, id, spec.vocab));
      return -1;
    }
    return id;
  };
  if (file.has("bos_token_id")) {
    spec.bos_id = keep("bos_token_id", file.root["bos_token_id"]);
  }
  if (file.has("eos_token_id")) {
    const json& eos = file.root["eos_token_id"];
    for (const json& item : eos.is_array() ? eos : json::array({eos})) {
      const std::int64_t id = keep("eos_token_id", item);
      if (id >= 0) {
        spec.eos_ids.push_back(id);
      }
    }
  }
}

}  // namespace lora_dist
