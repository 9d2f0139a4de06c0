// Tensor names of Llama's relatives with norms after attention and MLP, and of q and k: EXAONE 4, OLMo 2 and OLMo 3.
#pragma once

#include "src/model/family.h"

namespace lora_dist::families {

constexpr TensorNames names_with_norms_after() {
  TensorNames names = llama_names();
  names.attention_norm = names.mlp_norm = "";
  names.attention_out_norm = "model.layers.{}.post_attention_layernorm";
  names.mlp_out_norm = "model.layers.{}.post_feedforward_layernorm";
  names.q_norm = "model.layers.{}.self_attn.q_norm";
  names.k_norm = "model.layers.{}.self_attn.k_norm";
  return names;
}

}  // namespace lora_dist::families
