// config.json of a Hugging Face model folder, reduced to what the Llama family's arithmetic needs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lora_dist {

/// Rotary embedding: the base and, for Llama 3.1 and linear scaling, how angles of long positions are stretched.
struct RopeConfig {
  double theta = 10000.0;
  std::string type = "default";  // default, linear, llama3
  double factor = 1.0;
  double low_freq_factor = 1.0;            // llama3
  double high_freq_factor = 4.0;           // llama3
  std::int64_t original_positions = 8192;  // llama3
};

struct ModelSpec {
  std::string model_type;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t intermediate = 0;
  std::int64_t vocab = 0;
  std::int64_t max_positions = 0;
  float norm_eps = 1e-6F;
  RopeConfig rope;
  bool tied_head = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  std::int64_t bos_id = -1;           // -1: none
  std::vector<std::int64_t> eos_ids;  // may be empty
  std::vector<std::string> warnings;  // e.g. an eos id outside the vocabulary (which is then left out of eos_ids)

  std::int64_t query_width() const { return heads * head_dim; }
  std::int64_t key_width() const { return kv_heads * head_dim; }
};

/// Reads folder/config.json, in the form of transformers 4 (rope_theta, rope_scaling) or 5 (rope_parameters).
/// Throws Error(model) naming the file and the key: missing, of the wrong kind, out of range, an unknown model_type.
ModelSpec read_model_config(const std::filesystem::path& folder);

/// The cos and sin table of kernels/rope: f32 [positions, head_dim], a row holds cos of head_dim / 2 angles, then sin.
/// Angles follow transformers' modeling_rope_utils.py (inverse frequencies in fp32, scaled where rope.type says so).
std::vector<float> make_rope_table(const ModelSpec& config, std::int64_t positions);

}  // namespace lora_dist
