// StableLM 2: a Llama with LayerNorms of which a quarter of each head is rotated (contract: transformers, models/stablelm).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 32, .max_positions = 4096, .rope = {.partial = true, .part = 0.25}});
  spec.norm = Norm::layer;
  spec.norm_eps = static_cast<float>(file.positive_or("layer_norm_eps", 1e-5));
  spec.parallel_residual = spec.shared_norm = file.boolean_or("use_parallel_residual", false);
  for (const Linear linear : {Linear::q, Linear::k, Linear::v}) {
    spec.bias[index_of(linear)] = file.boolean_or("use_qkv_bias", false);
  }
}

}  // namespace

extern const Family stablelm;
const Family stablelm = {.model_type = "stablelm", .names = llama_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
