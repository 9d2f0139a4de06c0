// Llama 2, 3 and 3.1 (contract: transformers, models/llama).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec);
  set_biases(file, spec);
}

}  // namespace

extern const Family llama;
const Family llama = {.model_type = "llama", .names = llama_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
