// GLM-4: norms before and after attention and MLP, half of each head rotated in pairs of neighbours, one matrix for gate and up
// (contract: transformers, models/glm4).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

constexpr TensorNames glm4_names() {
  TensorNames names = llama_names();
  names.attention_out_norm = "model.layers.{}.post_self_attn_layernorm";
  names.mlp_out_norm = "model.layers.{}.post_mlp_layernorm";
  names.linears[index_of(Linear::gate)] = names.linears[index_of(Linear::up)] = "";
  names.linears[index_of(Linear::gate_up)] = "model.layers.{}.mlp.gate_up_proj";
  return names;
}

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(
      file, spec,
      {.kv_heads = 2, .head_dim = 128, .max_positions = 131072, .norm_eps = 1.5625e-7, .rope = {.partial = true, .part = 0.5}});
  spec.norm_after = true;
  spec.rope_pairs = RopePairs::neighbours;
  spec.fused_gate_up = true;
  for (const Linear linear : {Linear::q, Linear::k, Linear::v}) {
    spec.bias[index_of(linear)] = file.boolean_or("attention_bias", true);
  }
}

}  // namespace

extern const Family glm4;
const Family glm4 = {.model_type = "glm4", .names = glm4_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
