// Nemotron-4 and Minitron: (1 + w) LayerNorms, half of each head rotated, an MLP of squared ReLU without a gate (contract:
// transformers, models/nemotron).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

constexpr TensorNames nemotron_names() {
  TensorNames names = llama_names();
  names.linears[index_of(Linear::gate)] = "";
  return names;
}

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.max_positions = 4096, .rope = {.partial = true, .part = 0.5}});
  spec.norm = Norm::layer;
  spec.norm_adds_one = true;
  spec.norm_eps = static_cast<float>(file.positive_or("norm_eps", 1e-5));
  spec.activation = read_activation(file, "hidden_act", "relu2");
  spec.gated = false;
  set_biases(file, spec);
}

}  // namespace

extern const Family nemotron;
const Family nemotron = {.model_type = "nemotron", .names = nemotron_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
