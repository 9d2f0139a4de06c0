// Gemma 3, text: Gemma 2's layers without caps, with normed heads, five layers with a window and a rotation of their own for each
// global one (contract: transformers, models/gemma3).
#include "src/model/families/gemma_common.h"

namespace lora_dist::families {

namespace {

constexpr TensorNames names() {
  TensorNames names = later_gemma_names();
  names.q_norm = "model.layers.{}.self_attn.q_norm";
  names.k_norm = "model.layers.{}.self_attn.k_norm";
  return names;
}

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 4, .head_dim = 256, .max_positions = 131072, .tied_head = true, .own_rotation = true});
  read_later_gemma(file, spec);
  spec.head_norm = true;
  spec.logits_cap = static_cast<float>(file.positive_or_null("final_logit_softcapping", 0.0));
  spec.rope = read_rope_of_layers(file, spec, "full_attention", true, {.theta = 1e6});
  spec.window_rope = read_rope_of_layers(file, spec, "sliding_attention", false, {.theta_key = "rope_local_base_freq"});
  const std::int64_t window = read_window(file, 4096);
  if (!read_layer_types(file, window, spec)) {
    read_window_pattern(file.integer_or("sliding_window_pattern", 6, 1, 100000), window, spec);
  }
}

}  // namespace

extern const Family gemma3_text;
const Family gemma3_text = {.model_type = "gemma3_text", .names = names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
