// SmolLM3: a Llama of which every fourth layer has no rotation (contract: transformers, models/smollm3).
#include <fmt/format.h>

#include "src/model/family.h"

namespace lora_dist::families {

namespace {

/// no_rope_layers: a 1 for each layer with a rotation, a 0 for one without; absent: every n-th layer has none.
void read_rotations(const ConfigFile& file, ModelSpec& spec) {
  std::vector<LayerSpec>& layers = spec.each_layer();
  if (!file.has("no_rope_layers")) {
    const std::int64_t every = file.integer_or("no_rope_layer_interval", 4, 1, 100000);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      layers[i].rotary = (static_cast<std::int64_t>(i) + 1) % every != 0;
    }
    return;
  }
  const nlohmann::json& rotates = file.root["no_rope_layers"];
  if (!rotates.is_array() || rotates.size() < layers.size()) {
    file.fail(fmt::format("key \"no_rope_layers\" must be a list with a 0 or 1 for each of the {} layers", spec.layers));
  }
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!(rotates[i] == 0 || rotates[i] == 1 || rotates[i].is_boolean())) {
      file.fail(fmt::format("key \"no_rope_layers\" must have a 0 or 1 for layer {} (got {})", i, ConfigFile::shown(rotates[i])));
    }
    layers[i].rotary = rotates[i] != 0 && rotates[i] != false;
  }
}

/// Windows are those of layer_types, else of the layers without a rotation.
void read_windows(const ConfigFile& file, ModelSpec& spec) {
  const std::int64_t window = file.boolean_or("use_sliding_window", false) ? read_window(file, 0) : 0;
  if (window == 0 || read_layer_types(file, window, spec)) {
    return;
  }
  for (LayerSpec& layer : spec.layer_specs) {
    layer.window = layer.rotary ? 0 : window;
  }
}

void read(const ConfigFile& file, ModelSpec& spec) {
  read_llama_keys(file, spec, {.kv_heads = 4, .max_positions = 32768, .tied_head = true, .rope = {.theta = 2e6}});
  read_rotations(file, spec);
  read_windows(file, spec);
  set_biases(file, spec);
}

}  // namespace

extern const Family smollm3;
const Family smollm3 = {.model_type = "smollm3", .names = llama_names(), .transposed = false, .read = read};

}  // namespace lora_dist::families
