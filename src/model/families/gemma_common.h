// Gemma 2 and Gemma 3 share this.
#pragma once

#include <cmath>

#include "src/model/family.h"

namespace lora_dist::families {

/// Llama's names, and norms after attention and MLP.
constexpr TensorNames later_gemma_names() {
  TensorNames names = llama_names();
  names.attention_out_norm = "model.layers.{}.post_attention_layernorm";
  names.mlp_norm = "model.layers.{}.pre_feedforward_layernorm";
  names.mlp_out_norm = "model.layers.{}.post_feedforward_layernorm";
  return names;
}

/// Norms, embedding, activation, the scale of scores and biases.
inline void read_later_gemma(const ConfigFile& file, ModelSpec& spec) {
  spec.norm_after = true;
  spec.norm_adds_one = true;
  spec.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(spec.hidden)));
  spec.activation = read_activation(file, "hidden_activation", "gelu_pytorch_tanh");
  spec.scale_scores(1.0 / std::sqrt(file.positive_or("query_pre_attn_scalar", 256.0)));
  for (const Linear linear : {Linear::q, Linear::k, Linear::v, Linear::o}) {
    spec.bias[index_of(linear)] = file.boolean_or("attention_bias", false);
  }
}

}  // namespace lora_dist::families
