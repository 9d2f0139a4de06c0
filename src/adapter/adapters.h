// LoRA factors (Hu et al., 2021): where each lies in one flat buffer, and how it starts.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/model/tensor_table.h"

namespace lora_dist {

/// What to adapt, and how strongly.
struct AdapterSpec {
  int r = 16;
  double alpha = 32.0;
  double dropout = 0.0;
  bool rslora = false;
  std::vector<std::string> target_modules;  // as match_targets takes them; {"all-linear"} for every linear of the block
};

/// One adapted linear layer: y += scale * (x A^T) B^T.
struct LoraPlace {
  std::int64_t r = 0;
  float scale = 0.0F;  // alpha / r, or alpha / sqrt(r) for rsLoRA
  std::int64_t a = 0;  // first element of A [r, in] in the flat buffer
  std::int64_t b = 0;  // first element of B [out, r]
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t first_in = 0;  // the whole input's feature that comes first, where tensor ranks cut it
};

/// The flat buffer: block by block, linear by linear (tensor_table.h's order), A then B.
struct AdapterLayout {
  const Family* family = nullptr;  // whose names the modules have; may be null where nothing is adapted
  std::vector<std::array<std::optional<LoraPlace>, kLinears>> blocks;
  std::int64_t count = 0;  // elements of the flat buffer
};

/// The linears of each layer that are adapted.
using AdaptedLinears = std::vector<std::array<bool, kLinears>>;

/// The linears that target_modules name, as PEFT matches them: a whole path, or an ending of paths that starts after a dot;
/// "all-linear"; what holds other characters than paths do is a regular expression for whole paths. Throws Error(usage) for one
/// that matches nothing, with the names that exist in this model, or that is no regular expression.
AdaptedLinears match_targets(const ModelSpec& model, const std::vector<std::string>& target_modules);
/// The shortest target_modules that name exactly these linears: "c_attn", or "attn.c_proj" where "c_proj" would name others too;
/// whole paths where layers differ.
std::vector<std::string> target_names(const Family& family, const AdaptedLinears& linears);
AdapterLayout make_adapter_layout(const ModelSpec& model, const AdapterSpec& spec);

/// What is trained beside the whole, in the words of PEFT's print_trainable_parameters.
std::string trainable_line(const AdapterLayout& layout, const ModelSpec& model);

/// One factor of the flat buffer under PEFT's module path.
struct AdapterFactor {
  std::string path;    // "model.layers.0.self_attn.q_proj"
  std::string factor;  // "lora_A" or "lora_B"
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t offset = 0;
};
std::vector<AdapterFactor> adapter_factors(const AdapterLayout& layout);

/// A uniform in +-1/sqrt(in) (PEFT's kaiming_uniform with a = sqrt 5), B zero. A value depends on (seed, layer, linear, element)
/// alone.
void initialize_adapters(const AdapterLayout& layout, std::uint64_t seed, std::span<float> params);

}  // namespace lora_dist
