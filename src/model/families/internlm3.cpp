// InternLM3: a Llama whose biases have other keys (contract: transformers, models/internlm3, which runs it as a Llama).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 2, .head_dim = 128, .max_positions = 32768, .norm_eps = 1e-5});
  const bool attention = file.boolean_or("qkv_bias", file.boolean_or("attention_bias", false));
  const bool others = file.boolean_or("bias", file.boolean_or("mlp_bias", false));
  if (attention != others) {
    file.fail("qkv_bias different from bias is not supported for internlm3 models, as in transformers");
  }
  spec.bias.fill(attention);
}

}  // namespace

extern const Family internlm3;
const Family internlm3 = {.model_type = "internlm3", .names = llama_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
