// A model's architecture: config.json of a Hugging Face folder, reduced to sizes and a few switches.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/rope/rope.h"
#include "src/model/linear.h"

namespace lora_dist {

struct Family;

/// Rotary embedding: theta and the parameters of its type.
struct RopeConfig {
  double theta = 10000.0;
  std::int64_t dims = 0;  // rotated dimensions per head; 0: all
  std::string type =
      "default";  // default, dynamic (the same, for sequences of up to max_positions), linear, llama3, longrope, yarn
  double factor = 1.0;
  double low_freq_factor = 1.0;            // llama3
  double high_freq_factor = 4.0;           // llama3
  std::int64_t original_positions = 8192;  // llama3, longrope, yarn
  double attention_factor = 1.0;           // of cos and sin: longrope, yarn
  double beta_fast = 32.0;                 // yarn
  double beta_slow = 1.0;                  // yarn
  bool truncate = true;                    // yarn: to whole dimensions
  double query_growth = 0.0;          // queries grow by 1 + query_growth * log(1 + position / original_positions), rounded down
  std::vector<double> short_factors;  // longrope: of the wavelengths, for sequences of up to original_positions
  std::vector<double> long_factors;   // longrope: for longer ones
};

/// How a fused matrix of q, k and v orders its rows.
enum class FusedQkv : std::uint8_t {
  slices,    // all of q, then k, then v (GPT-2's c_attn, Phi-3's qkv_proj)
  per_head,  // [heads, 3, head_dim] (GPT-NeoX's query_key_value)
};

enum class Norm : std::uint8_t { rms, layer };

/// Properties that may differ between blocks.
struct LayerSpec {
  std::int64_t window = 0;   // the most keys that a query attends to, its own included; 0: all
  bool rotary = true;        // queries and keys are rotated (unless the model has learned positions)
  float score_scale = 1.0F;  // of attention scores, in addition to 1 / sqrt(head_dim)
};

struct ModelSpec {
  const Family* family = nullptr;  // the names of its tensors
  std::string model_type;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t intermediate = 0;
  std::int64_t vocab = 0;
  std::int64_t added_rows = 0;  // the last ids, whose rows an adapter holds: the files have none
  std::int64_t max_positions = 0;

  Norm norm = Norm::rms;
  // Of attention and MLP, independently: y = x + after(f(before(x))).
  bool norm_before = true;
  bool shared_norm = false;  // the norm before attention is also the one before the MLP, for a parallel residual
  bool norm_after = false;
  bool norm_bias = true;       // of LayerNorm
  bool norm_adds_one = false;  // files store w of (1 + w); 1 is added while loading
  bool width_norm = false;     // RMSNorm of all heads of q together, and of k
  bool head_norm = false;      // RMSNorm of each head of q and k
  float norm_eps = 1e-6F;
  float embedding_scale = 1.0F;
  bool embedding_scale_of_model = false;  // it scales the first block's input, whatever that is; else rows of the embedding
  float residual_scale = 1.0F;            // of what attention and MLP add to the hidden state
  float logits_scale = 1.0F;
  float score_cap = 0.0F;          // soft cap of attention scores; 0: none
  float logits_cap = 0.0F;         // soft cap of logits, after logits_scale; 0: none
  bool learned_positions = false;  // a position table is added to the embedding; no rotary embedding
  RopeConfig rope;
  std::optional<RopeConfig> window_rope;  // of layers with a window, if they have a rotation of their own
  RopePairs rope_pairs = RopePairs::halves;
  bool parallel_residual = false;  // y = x + attention(norm1(x)) + mlp(norm2(x))
  std::optional<FusedQkv> fused_qkv;
  Activation activation = Activation::silu;
  bool fused_gate_up = false;          // one matrix: gate's rows, then up's
  bool gated = true;                   // mlp(x) = down(act(gate(x)) * up(x)), else down(act(up(x)))
  std::array<bool, kLinears> bias{};   // by linear
  std::vector<LayerSpec> layer_specs;  // empty: all equal
  bool tied_head = false;

  std::int64_t bos_id = -1;           // -1: none
  std::vector<std::int64_t> eos_ids;  // may be empty
  std::vector<std::string> warnings;  // e.g. an eos id outside the vocabulary (which is then left out of eos_ids)

  /// Rows of embedding and head in the files.
  std::int64_t vocab_of_files() const { return vocab - added_rows; }
  std::int64_t query_width() const { return heads * head_dim; }
  std::int64_t key_width() const { return kv_heads * head_dim; }
  /// Width of a row of the rotation table: even, at most head_dim; 0: no rotary embedding.
  std::int64_t rotary_width() const;
  LayerSpec layer(std::int64_t index) const;
  /// layer_specs with an entry for each layer.
  std::vector<LayerSpec>& each_layer();
  /// Sets the factor of attention scores in place of 1 / sqrt(head_dim).
  void scale_scores(double factor);
};

/// Reads folder/config.json, or its equivalent made from a GGUF file, in the form of transformers 4 (rope_theta, rope_scaling) or
/// 5 (rope_parameters); by the family of its model_type. Throws Error(model) naming the file and the key: missing, of the wrong
/// type, out of range, an unknown model_type.
ModelSpec read_model_config(const std::filesystem::path& folder);

/// The cos and sin table of kernels/rope: f32 [rope_table_rows, rotary_width], a row holds cos of rotary_width / 2 angles, then
/// sin. Angles follow transformers' modeling_rope_utils.py (inverse frequencies in fp32, scaled where rope.type says so).
std::vector<float> make_rope_table(const ModelSpec& config, const RopeConfig& rope, std::int64_t positions);
inline std::vector<float> make_rope_table(const ModelSpec& config, std::int64_t positions) {
  return make_rope_table(config, config.rope, positions);
}
/// The same for the queries of a rotation with query_growth: each row is multiplied by what the queries grow.
std::vector<float> make_query_rope_table(const ModelSpec& config, std::int64_t positions);
/// A row per position; for longrope, if there are more than original_positions, a second row per position for the longer
/// sequences.
std::int64_t rope_table_rows(const RopeConfig& rope, std::int64_t positions);

}  // namespace lora_dist
