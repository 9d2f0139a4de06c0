// A model family: the names of its tensors, and how its config.json is read. CONTRIBUTING.md says how to add one.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "src/model/config_file.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// Paths of modules: ".weight" and ".bias" follow in a file. "{}" stands for the layer's number; empty: the family has none.
struct TensorNames {
  std::string_view prefix;                         // of all tensors except the head; optional in files
  std::string_view embedding;                      // [vocab, hidden]
  std::string_view positions;                      // [max_positions, hidden]
  std::string_view final_norm;                     // [hidden]
  std::array<std::string_view, 2> heads;           // [vocab, hidden]; alternative names
  std::string_view attention_norm;                 // [hidden], before attention
  std::string_view mlp_norm;                       // [hidden], before the MLP
  std::string_view attention_out_norm;             // [hidden], after attention
  std::string_view mlp_out_norm;                   // [hidden], after the MLP
  std::string_view q_norm;                         // [head_dim], or [heads * head_dim] with width_norm
  std::string_view k_norm;                         // [head_dim], or [kv_heads * head_dim]
  std::array<std::string_view, kLinears> linears;  // in the order of Linear
};

struct Family {
  std::string_view model_type;  // of config.json
  TensorNames names;
  bool transposed = false;                                          // files store the blocks' matrices as [in, out] (Conv1D)
  void (*read)(const ConfigFile& file, ModelSpec& spec) = nullptr;  // sets the members that differ from ModelSpec's defaults
};

/// The tensor names of the Llama family.
constexpr TensorNames llama_names() {
  return {.prefix = "model.",
          .embedding = "model.embed_tokens",
          .positions = "",
          .final_norm = "model.norm",
          .heads = {"lm_head", ""},
          .attention_norm = "model.layers.{}.input_layernorm",
          .mlp_norm = "model.layers.{}.post_attention_layernorm",
          .attention_out_norm = "",
          .mlp_out_norm = "",
          .q_norm = "",
          .k_norm = "",
          .linears = {"model.layers.{}.self_attn.q_proj", "model.layers.{}.self_attn.k_proj", "model.layers.{}.self_attn.v_proj",
                      "model.layers.{}.self_attn.o_proj", "model.layers.{}.mlp.gate_proj", "model.layers.{}.mlp.up_proj",
                      "model.layers.{}.mlp.down_proj", "", ""}};
}

/// The family of a model_type; null if unknown.
const Family* find_family(std::string_view model_type);
/// "exaone, exaone4, gemma, ...".
std::string known_families();

}  // namespace lora_dist
