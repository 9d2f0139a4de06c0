// Gemma 2: a Gemma with norms before and after attention and MLP, windows on every other layer, and soft caps of scores and
// logits (contract: transformers, models/gemma2).
#include "src/model/families/gemma_common.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 4, .head_dim = 256, .max_positions = 8192, .tied_head = true});
  read_later_gemma(file, spec);
  spec.score_cap = static_cast<float>(file.positive_or_null("attn_logit_softcapping", 50.0));
  spec.logits_cap = static_cast<float>(file.positive_or_null("final_logit_softcapping", 30.0));
  const std::int64_t window = read_window(file, 4096);
  if (!read_layer_types(file, window, spec)) {
    read_window_pattern(2, window, spec);
  }
}

}  // namespace

extern const Family gemma2;
const Family gemma2 = {.model_type = "gemma2", .names = later_gemma_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
