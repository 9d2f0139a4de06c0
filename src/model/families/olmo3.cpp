// OLMo 3: an OLMo 2 with three layers with a window for each global one, whose rotation alone is scaled (contract: transformers,
// models/olmo3).
#include "src/model/families/olmo_common.h"

namespace lora_dist::families {

namespace {

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.norm_eps = 1e-5, .own_rotation = true});
  set_olmo_norms(file, spec);
  spec.rope = read_rope_of_layers(file, spec, "full_attention", true, {.theta = 5e5});
  // Without rope_parameters, transformers gives these layers its default, whatever rope_theta says.
  spec.window_rope = read_rope_of_layers(file, spec, "sliding_attention", false, {.theta_key = "", .theta = 5e5});
  const std::int64_t window = read_window(file, 4096);
  if (!read_layer_types(file, window, spec)) {
    read_window_pattern(4, window, spec);
  }
}

}  // namespace

extern const Family olmo3;
const Family olmo3 = {.model_type = "olmo3", .names = names_with_norms_after(), .transposed = false, .read = read};

}  // namespace lora_dist::families
