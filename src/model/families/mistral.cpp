// Mistral: a Llama with sliding-window attention (contract: transformers, models/mistral).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 8, .max_positions = 131072});
  const std::int64_t window = read_window(file, 4096);
  if (window > 0 && !read_layer_types(file, window, spec)) {  // with layer_types, AutoModel loads it as a Ministral
    spec.layer_specs.assign(static_cast<std::size_t>(spec.layers), {.window = window});
  }
}

}  // namespace

extern const Family mistral;
const Family mistral = {.model_type = "mistral", .names = llama_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
