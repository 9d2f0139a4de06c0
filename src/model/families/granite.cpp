// Granite 3: a Llama with factors of embedding, scores, residuals and logits (contract: transformers, models/granite).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec);
  set_biases(file, spec);
  spec.embedding_scale = static_cast<float>(file.positive_or("embedding_multiplier", 1.0));
  spec.embedding_scale_of_model = true;
  spec.residual_scale = static_cast<float>(file.positive_or("residual_multiplier", 1.0));
  spec.logits_scale = static_cast<float>(1.0 / file.positive_or("logits_scaling", 1.0));
  spec.scale_scores(file.positive_or("attention_multiplier", 1.0));
}

}  // namespace

extern const Family granite;
const Family granite = {.model_type = "granite", .names = llama_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
