// Ministral 3: a Mistral with YaRN, of which later queries are scaled (contract: transformers, models/ministral3).
#include "src/model/family.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 8, .head_dim = 128, .max_positions = 262144, .norm_eps = 1e-5});
  if (const nlohmann::json rope = rope_object(file); rope.empty()) {  // the class's default
    spec.rope.type = "yarn";
    spec.rope.theta = 1e6;
    spec.rope.factor = 16.0;
    spec.rope.original_positions = 16384;
    spec.rope.query_growth = 0.1;
  } else {
    constexpr const char* kGrowth = "llama_4_scaling_beta";
    spec.rope.query_growth = rope.contains(kGrowth) && rope[kGrowth] == 0 ? 0.0 : file.positive_or(rope, kGrowth, 0.0);
    if (spec.rope.query_growth > 0.0 && spec.rope.type == "longrope") {
      file.fail("llama_4_scaling_beta beside rope type \"longrope\" is not supported");
    }
    spec.rope.original_positions = original_positions(file, rope, spec.max_positions);  // whatever the type of rotation
  }
  if (const std::int64_t window = read_window(file, 0); window > 0) {
    spec.layer_specs.assign(static_cast<std::size_t>(spec.layers), {.window = window});
  }
}

}  // namespace

extern const Family ministral3;
const Family ministral3 = {.model_type = "ministral3", .names = llama_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
