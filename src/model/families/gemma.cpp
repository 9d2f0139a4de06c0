// Gemma 1: a Llama with (1 + w) norms, scaled embeddings, a gate of GELU and a tied head (contract: transformers, models/gemma).
#include <cmath>

#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 16, .head_dim = 256, .max_positions = 8192, .tied_head = true});
  // Early files write "gelu", or use another key, and mean the tanh form.
  if (const Activation read = read_activation(file, "hidden_act", "gelu_pytorch_tanh");
      read != Activation::gelu_tanh && read != Activation::gelu_erf) {
    file.fail("hidden_act \"" + file.text_or("hidden_act", "") + "\" is not supported for gemma (gelu_pytorch_tanh is)");
  }
  spec.activation = Activation::gelu_tanh;
  spec.norm_adds_one = true;
  spec.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(spec.hidden)));
  for (const Linear linear : {Linear::q, Linear::k, Linear::v, Linear::o}) {
    spec.bias[index_of(linear)] = file.boolean_or("attention_bias", false);
  }
}

}  // namespace

extern const Family gemma;
const Family gemma = {.model_type = "gemma", .names = llama_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
