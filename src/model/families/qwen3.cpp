// Qwen3: a Llama that norms each head of q and k (contract: transformers, models/qwen3).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

constexpr TensorNames qwen3_names() {
  TensorNames names = llama_names();
  names.q_norm = "model.layers.{}.self_attn.q_norm";
  names.k_norm = "model.layers.{}.self_attn.k_norm";
  return names;
}

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 32, .head_dim = 128, .max_positions = 32768});
  spec.head_norm = true;
  for (const Linear linear : {Linear::q, Linear::k, Linear::v, Linear::o}) {
    spec.bias[index_of(linear)] = file.boolean_or("attention_bias", false);
  }
  read_window_layers(file, file.boolean_or("use_sliding_window", false) ? read_window(file, 4096) : 0, spec);
}

}  // namespace

extern const Family qwen3;
const Family qwen3 = {.model_type = "qwen3", .names = qwen3_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
