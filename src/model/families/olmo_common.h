// OLMo 2 and OLMo 3 share this: norms after attention and MLP, and of all heads of q and of k together.
#pragma once

#include "src/model/family.h"

namespace lora_dist::families {

constexpr TensorNames olmo_names() {
  TensorNames names = llama_names();
  names.attention_norm = names.mlp_norm = "";
  names.attention_out_norm = "model.layers.{}.post_attention_layernorm";
  names.mlp_out_norm = "model.layers.{}.post_feedforward_layernorm";
  names.q_norm = "model.layers.{}.self_attn.q_norm";
  names.k_norm = "model.layers.{}.self_attn.k_norm";
  return names;
}

inline void set_olmo_norms(const ConfigFile& file, ModelSpec& spec) {
  spec.norm_before = false;
  spec.norm_after = true;
  spec.width_norm = true;
  for (const Linear linear : {Linear::q, Linear::k, Linear::v, Linear::o}) {
    spec.bias[index_of(linear)] = file.boolean_or("attention_bias", false);
  }
}

}  // namespace lora_dist::families
