// Cohere 2 (Command R7B): attention and MLP side by side behind one LayerNorm without bias, neighbours rotated, windows on most
// layers and no rotation on the others, a factor of logits (contract: transformers, models/cohere2).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.max_positions = 8192, .tied_head = true});
  spec.norm = Norm::layer;
  spec.norm_bias = false;
  spec.shared_norm = true;
  spec.norm_eps = static_cast<float>(file.positive_or("layer_norm_eps", 1e-5));
  spec.parallel_residual = true;
  spec.rope_pairs = RopePairs::neighbours;
  spec.logits_scale = static_cast<float>(file.positive_or("logit_scale", 0.0625));
  for (const Linear linear : {Linear::q, Linear::k, Linear::v, Linear::o}) {
    spec.bias[index_of(linear)] = file.boolean_or("attention_bias", false);
  }
  const std::int64_t window = read_window(file, 4096);
  if (!read_layer_types(file, window, spec)) {
    read_window_pattern(file.integer_or("sliding_window_pattern", 4, 1, 100000), window, spec);
  }
  for (LayerSpec& layer : spec.layer_specs) {
    layer.rotary = layer.window > 0;
  }
}

}  // namespace

extern const Family cohere2;
const Family cohere2 = {.model_type = "cohere2", .names = llama_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
