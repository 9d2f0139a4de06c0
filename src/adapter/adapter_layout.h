// The parameters of an adapter: where each lies in one flat buffer, and how it starts.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/adapter/method.h"
#include "src/adapter/target_modules.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

/// What to adapt, and how strongly.
struct AdapterSpec {
  int r = 16;
  double alpha = 32.0;
  double dropout = 0.0;
  bool rslora = false;
  std::vector<std::string> target_modules;  // as match_targets takes them; {"all-linear"} for every linear of the block
  const AdapterMethod* method = &lora_method();
};

/// The flat buffer: block by block, linear by linear (tensor_table.h's order), parameter by parameter (the method's order).
struct AdapterLayout {
  const Family* family = nullptr;  // whose names the modules have; may be null where nothing is adapted
  const AdapterMethod* method = &lora_method();
  std::vector<std::array<std::optional<AdaptedLinear>, kLinears>> blocks;
  std::int64_t count = 0;  // elements of the flat buffer
};

AdapterLayout make_adapter_layout(const ModelSpec& model, const AdapterSpec& spec);
/// Nothing is adapted.
AdapterLayout empty_layout(const ModelSpec& model);
/// Adapts one more linear: its parameters come after those that are there. Linears are added in the order of the flat buffer.
void add_linear(AdapterLayout& layout, std::size_t layer, Linear linear, LinearShape shape, std::int64_t r, float scale);

/// What is trained beside the whole, in the words of PEFT's print_trainable_parameters.
std::string trainable_line(const AdapterLayout& layout, const ModelSpec& model);

/// One parameter of the flat buffer under PEFT's module path.
struct NamedParameter {
  std::string path;  // "model.layers.0.self_attn.q_proj"
  Parameter parameter;
};
std::vector<NamedParameter> named_parameters(const AdapterLayout& layout);

/// First values, as the method has them. A value depends on (seed, layer, linear, element) alone.
void initialize_adapters(const AdapterLayout& layout, std::uint64_t seed, std::span<float> params);

}  // namespace lora_dist
