// OLMo 2 (contract: transformers, models/olmo2).
#include "src/model/families/olmo_common.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.norm_eps = 1e-5});
  set_olmo_norms(file, spec);
}

}  // namespace

extern const Family olmo2;
const Family olmo2 = {.model_type = "olmo2", .names = names_with_norms_after(), .transposed = false, .read = read};

}  // namespace lora_dist::families
