// config.json with checked access to its keys, and what several families read in the same way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "src/model/model_config.h"

namespace lora_dist {

/// Every error names the file. A key that is null counts as missing, except for given().
struct ConfigFile {
  std::filesystem::path path;
  nlohmann::json root;

  [[noreturn]] void fail(const std::string& what) const;
  /// A value as a message shows it: no more than a few words of it.
  static std::string shown(const nlohmann::json& value);

  bool given(const char* key) const { return root.contains(key); }
  bool has(const char* key) const { return has(root, key); }
  static bool has(const nlohmann::json& object, const char* key) { return object.contains(key) && !object[key].is_null(); }

  std::int64_t integer(const char* key, std::int64_t low, std::int64_t high) const { return integer(root, key, low, high); }
  std::int64_t integer(const nlohmann::json& object, const char* key, std::int64_t low,
                       std::int64_t high) const;  // must be there
  std::int64_t integer_or(const char* key, std::int64_t otherwise, std::int64_t low, std::int64_t high) const {
    return has(key) ? integer(key, low, high) : otherwise;
  }
  double positive_or(const char* key, double otherwise) const { return positive_or(root, key, otherwise); }
  double positive_or(const nlohmann::json& object, const char* key, double otherwise) const;
  bool boolean_or(const char* key, bool otherwise) const;
  std::string text_or(const char* key, const std::string& otherwise) const { return text_or(root, key, otherwise); }
  std::string text_or(const nlohmann::json& object, const char* key, const std::string& otherwise) const;
};

/// What a configuration class of the Llama family takes for keys that are not there (not for those that are null).
struct LlamaDefaults {
  std::int64_t kv_heads = 0;  // 0: as many as heads
  std::int64_t head_dim = 0;  // 0: hidden / heads
  std::int64_t max_positions = 2048;
  double norm_eps = 1e-6;
  bool tied_head = false;
};
/// The keys of the Llama family and its descendants: sizes, eps, activation, rotation, tied head.
void read_llama_keys(const ConfigFile& file, ModelSpec& spec, const LlamaDefaults& defaults = {});
/// hidden / heads, which must divide, unless `given` (a head_dim of its own) is above 0.
std::int64_t head_dim_of(const ConfigFile& file, const ModelSpec& spec, std::int64_t given);

/// The object that says how heads are rotated: rope_scaling (transformers 4) where it holds anything, else rope_parameters
/// (transformers 5); empty where neither does. As convert_rope_params_to_dict of modeling_rope_utils.py takes them.
nlohmann::json rope_object(const ConfigFile& file);
/// That object, and the root's `theta_key` where it has no rope_theta. What is said twice and differs is a warning. Throws
/// Error(model) for a type of rotation that is not built, and for one that lacks its keys.
RopeConfig read_rope(const ConfigFile& file, ModelSpec& spec, const char* theta_key = "rope_theta");
Activation read_activation(const ConfigFile& file, const char* key, const char* otherwise);
/// The integer of the key, `otherwise` where the key is not there at all, 0 where it is null.
std::int64_t read_window(const ConfigFile& file, std::int64_t otherwise);
/// The window on the layers that layer_types calls "sliding_attention"; where there is no such list, from layer
/// max_window_layers on (Qwen).
void read_window_layers(const ConfigFile& file, std::int64_t window, ModelSpec& spec);
/// Marks layers by layer_types; false when the key is not there. Throws Error(model) for another kind of layer.
bool read_layer_types(const ConfigFile& file, std::int64_t window, ModelSpec& spec);

/// bos_token_id and eos_token_id; ids outside the vocabulary are left out with a warning.
void read_special_ids(const ConfigFile& file, ModelSpec& spec);

}  // namespace lora_dist
