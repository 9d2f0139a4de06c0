// Llama 2, 3 and 3.1 (contract: transformers, models/llama).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec);
  const bool attention = file.boolean_or("attention_bias", false);
  const bool mlp = file.boolean_or("mlp_bias", false);
  for (const Linear linear : {Linear::q, Linear::k, Linear::v, Linear::o}) {
    spec.bias[index_of(linear)] = attention;
  }
  for (const Linear linear : {Linear::gate, Linear::up, Linear::down}) {
    spec.bias[index_of(linear)] = mlp;
  }
}

}  // namespace

extern const Family llama;
const Family llama = {
    .model_type = "llama", .names = llama_names(), .default_targets = {"q_proj", "v_proj"}, .transposed = false, .read = read};

}  // namespace lora_dist::families
