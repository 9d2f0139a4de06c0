// Qwen2 and Qwen2.5: a Llama with biases on q, k and v (contract: transformers, models/qwen2).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 32, .max_positions = 32768});
  for (const Linear linear : {Linear::q, Linear::k, Linear::v}) {
    spec.bias[index_of(linear)] = true;
  }
  read_window_layers(file, file.boolean_or("use_sliding_window", false) ? read_window(file, 4096) : 0, spec);
}

}  // namespace

extern const Family qwen2;
const Family qwen2 = {.model_type = "qwen2", .names = llama_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
