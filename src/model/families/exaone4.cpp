// EXAONE 4: norms after attention and MLP, normed heads, and in hybrid models windows on most layers and no rotation on the
// others (contract: transformers, models/exaone4).
#include <algorithm>

#include "src/model/families/norms_after.h"

namespace lora_dist::families {

namespace {

/// sliding_window_pattern where there is no layer_types: every n-th layer is global, or "LLLG" again and again, and with letters
/// the last layer is global too.
void read_pattern(const ConfigFile& file, std::int64_t window, ModelSpec& spec) {
  const bool letters = file.has("sliding_window_pattern") && file.root["sliding_window_pattern"].is_string();
  const std::string pattern = letters ? file.text_or("sliding_window_pattern", "") : "";
  if (letters && (pattern.empty() || pattern.find_first_not_of("LG") != std::string::npos)) {
    file.fail("key \"sliding_window_pattern\" must be a number or a text of the letters L and G");
  }
  const std::int64_t every = letters ? 1 : file.integer_or("sliding_window_pattern", 4, 1, 100000);
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    const bool global = letters ? layer + 1 == spec.layers || pattern[static_cast<std::size_t>(layer) % pattern.size()] == 'G'
                                : (layer + 1) % every == 0;
    spec.layer_specs.push_back({.window = global ? 0 : window});
  }
}

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 32, .norm_eps = 1e-5});
  spec.norm_before = false;
  spec.norm_after = true;
  spec.head_norm = true;
  const std::int64_t window = read_window(file, 4096);
  if (window == 0) {
    return;  // all layers have full attention and rotation
  }
  if (!read_layer_types(file, window, spec)) {
    read_pattern(file, window, spec);
  }
  for (LayerSpec& layer : spec.layer_specs) {
    layer.rotary = layer.window > 0;
  }
}

}  // namespace

extern const Family exaone4;
const Family exaone4 = {.model_type = "exaone4", .names = names_with_norms_after(), .transposed = false, .read = read};

}  // namespace lora_dist::families
