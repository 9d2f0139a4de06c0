// config.json with checked access to its keys, and readers that several families share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "src/model/model_config.h"

namespace lora_dist {

/// Every error names the file. A null key counts as missing, except for given().
struct ConfigFile {
  std::filesystem::path path;
  nlohmann::json root;

  [[noreturn]] void fail(const std::string& what) const;
  /// A value for a message, shortened to a few words.
  static std::string shown(const nlohmann::json& value);

  bool given(const char* key) const { return root.contains(key); }
  bool has(const char* key) const { return has(root, key); }
  static bool has(const nlohmann::json& object, const char* key) { return object.contains(key) && !object[key].is_null(); }

  std::int64_t integer(const char* key, std::int64_t low, std::int64_t high) const { return integer(root, key, low, high); }
  std::int64_t integer(const nlohmann::json& object, const char* key, std::int64_t low,
                       std::int64_t high) const;  // throws if missing
  std::int64_t integer_or(const char* key, std::int64_t otherwise, std::int64_t low, std::int64_t high) const {
    return has(key) ? integer(key, low, high) : otherwise;
  }
  double positive_or(const char* key, double otherwise) const { return positive_or(root, key, otherwise); }
  double positive_or(const nlohmann::json& object, const char* key, double otherwise) const;
  /// `otherwise` if the key is absent, 0 if it is null.
  double positive_or_null(const char* key, double otherwise) const {
    return given(key) && !has(key) ? 0.0 : positive_or(key, otherwise);
  }
  bool boolean_or(const char* key, bool otherwise) const;
  std::string text_or(const char* key, const std::string& otherwise) const { return text_or(root, key, otherwise); }
  std::string text_or(const nlohmann::json& object, const char* key, const std::string& otherwise) const;
};

/// config.json of a model folder, or its equivalent made from a GGUF file (gguf_model.h); then `path` is that file. Throws
/// Error(model) naming what is missing or malformed.
ConfigFile open_config_file(const std::filesystem::path& folder);

/// How a family's rotation is read.
struct RopeKeys {
  const char* theta_key = "rope_theta";  // of the root, if the rotation's object has no rope_theta
  double theta = 10000.0;                // if neither has it
  bool partial =
      false;  // partial_rotary_factor of the object, else part_key of the root, says which part of each head is rotated
  const char* part_key = "partial_rotary_factor";
  double part = 1.0;  // if neither is there
  std::int64_t original_positions =
      0;  // original_max_position_embeddings without that key of the root; 0: the object's key counts
};

/// Defaults of a Llama-family configuration class for absent keys (not for null ones).
struct LlamaDefaults {
  std::int64_t kv_heads = 0;  // 0: equal to heads
  std::int64_t head_dim = 0;  // 0: hidden / heads
  std::int64_t max_positions = 2048;
  double norm_eps = 1e-6;
  bool tied_head = false;
  bool own_rotation = false;  // the family reads it itself
  RopeKeys rope = {};
};
/// Reads the keys of the Llama family: sizes, eps, activation, rotation, tied head.
void read_llama_keys(const ConfigFile& file, ModelSpec& spec, const LlamaDefaults& defaults = {});
/// `given` if above 0, else hidden / heads, which must be an integer.
std::int64_t head_dim_of(const ConfigFile& file, const ModelSpec& spec, std::int64_t given);

/// The rotation's object: rope_scaling (transformers 4) if not empty, else rope_parameters (transformers 5), by the rules of
/// convert_rope_params_to_dict in modeling_rope_utils.py.
nlohmann::json rope_object(const ConfigFile& file);
/// original_max_position_embeddings: the root's key, as in transformers 5, else that of `object`, else `otherwise`.
std::int64_t original_positions(const ConfigFile& file, const nlohmann::json& object, std::int64_t otherwise);
/// Reads rope_object(), and the root's theta key if it has no rope_theta. Conflicting values give a warning. Throws Error(model)
/// for an unsupported rotation type or missing keys.
RopeConfig read_rope(const ConfigFile& file, ModelSpec& spec, const RopeKeys& keys = {});
/// The rotation of one kind of layer, "full_attention" or "sliding_attention", where rope_parameters has an object for each
/// (Gemma 3): that object, updated by the root's rope_scaling if `scaled`.
RopeConfig read_rope_of_layers(const ConfigFile& file, ModelSpec& spec, const char* kind, bool scaled, const RopeKeys& keys);
/// Reads attention_bias (of q, k, v and o) and mlp_bias (of gate, up and down).
void set_biases(const ConfigFile& file, ModelSpec& spec);
Activation read_activation(const ConfigFile& file, const char* key, const char* otherwise);
/// The integer of the key, `otherwise` if the key is absent, 0 if it is null.
std::int64_t read_window(const ConfigFile& file, std::int64_t otherwise);
/// Sets the window of the "sliding_attention" layers in layer_types; without that list, of layers from max_window_layers on
/// (Qwen).
void read_window_layers(const ConfigFile& file, std::int64_t window, ModelSpec& spec);
/// Sets the window of all layers but every `every`-th.
void read_window_pattern(std::int64_t every, std::int64_t window, ModelSpec& spec);
/// Sets the window of layers by layer_types; false if the key is absent. Throws Error(model) for other kinds of layers.
bool read_layer_types(const ConfigFile& file, std::int64_t window, ModelSpec& spec);

/// Reads bos_token_id and eos_token_id; drops ids outside the vocabulary with a warning.
void read_special_ids(const ConfigFile& file, ModelSpec& spec);

}  // namespace lora_dist
