// HyperCLOVAX-SEED: a Llama with factors of embedding, scores, residuals and logits, and norms after attention and MLP where
// use_post_norm says so (contract: transformers, models/hyperclovax).
#include <cmath>

#include "src/model/family.h"

namespace lora_dist::families {

namespace {

constexpr TensorNames hyperclovax_names() {
  TensorNames names = llama_names();
  names.attention_out_norm = "model.layers.{}.post_norm1";
  names.mlp_out_norm = "model.layers.{}.post_norm2";
  return names;
}

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec);
  set_biases(file, spec);
  spec.norm_after = file.boolean_or("use_post_norm", true);
  spec.embedding_scale = static_cast<float>(file.positive_or("embedding_multiplier", 1.0));
  spec.embedding_scale_of_model = true;
  spec.residual_scale = static_cast<float>(file.positive_or("residual_multiplier", 1.0));
  spec.logits_scale = static_cast<float>(file.positive_or("logits_scaling", 1.0));  // Granite divides by it
  spec.scale_scores(file.positive_or("attention_multiplier", 1.0 / std::sqrt(static_cast<double>(spec.head_dim))));
}

}  // namespace

extern const Family hyperclovax;
const Family hyperclovax = {.model_type = "hyperclovax", .names = hyperclovax_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
