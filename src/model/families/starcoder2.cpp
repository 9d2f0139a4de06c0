// StarCoder 2: LayerNorms, biases everywhere, an MLP without a gate, a sliding window (contract: transformers,
// models/starcoder2).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

constexpr TensorNames starcoder2_names() {
  TensorNames names = llama_names();
  names.linears[index_of(Linear::gate)] = "";
  names.linears[index_of(Linear::up)] = "model.layers.{}.mlp.c_fc";
  names.linears[index_of(Linear::down)] = "model.layers.{}.mlp.c_proj";
  return names;
}

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 2, .max_positions = 4096, .tied_head = true});
  spec.norm = Norm::layer;
  spec.norm_eps = static_cast<float>(file.positive_or("norm_epsilon", 1e-5));
  spec.activation = read_activation(file, "hidden_act", "gelu_pytorch_tanh");
  spec.gated = false;
  for (const Linear linear : {Linear::q, Linear::k, Linear::v, Linear::o, Linear::up, Linear::down}) {
    spec.bias[index_of(linear)] = file.boolean_or("use_bias", true);
  }
  if (const std::int64_t window = read_window(file, 0); window > 0) {
    spec.layer_specs.assign(static_cast<std::size_t>(spec.layers), {.window = window});
  }
}

}  // namespace

extern const Family starcoder2;
const Family starcoder2 = {.model_type = "starcoder2", .names = starcoder2_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
