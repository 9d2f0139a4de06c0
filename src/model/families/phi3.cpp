// Phi-3, with it Phi-3.5, Phi-4 and Phi-4-mini: a Llama with one matrix for q, k and v and one for gate and up (contract:
// transformers, models/phi3).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

constexpr TensorNames phi3_names() {
  TensorNames names = llama_names();
  for (const Linear linear : {Linear::q, Linear::k, Linear::v, Linear::gate, Linear::up}) {
    names.linears[index_of(linear)] = "";
  }
  names.linears[index_of(Linear::qkv)] = "model.layers.{}.self_attn.qkv_proj";
  names.linears[index_of(Linear::gate_up)] = "model.layers.{}.mlp.gate_up_proj";
  return names;
}

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.max_positions = 4096, .norm_eps = 1e-5, .rope = {.partial = true, .original_positions = 4096}});
  if (spec.rope.type != "default" && spec.rope.type != "longrope") {
    file.fail("rope type \"" + spec.rope.type + "\" is not supported for phi3 models (default and longrope are)");
  }
  spec.fused_qkv = FusedQkv::slices;
  spec.fused_gate_up = true;
  if (const std::int64_t window = read_window(file, 0); window > 0) {
    spec.layer_specs.assign(static_cast<std::size_t>(spec.layers), {.window = window});
  }
}

}  // namespace

extern const Family phi3;
const Family phi3 = {.model_type = "phi3", .names = phi3_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
