// Resolves target_modules to linear layers.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "src/model/tensor_table.h"

namespace lora_dist {

/// The adapted linears of each layer.
using AdaptedLinears = std::vector<std::array<bool, kLinears>>;

/// The linears that target_modules match by PEFT's rules: a whole path, an ending after a dot, or "all-linear"; a text with
/// characters that no path has is a regular expression for whole paths. Throws Error(usage) for a name that matches nothing
/// (listing the model's names) and for an invalid regular expression.
AdaptedLinears match_targets(const ModelSpec& model, const std::vector<std::string>& target_modules);
/// The shortest target_modules that match exactly these linears: "c_attn", or "attn.c_proj" if "c_proj" would match others; whole
/// paths if layers differ.
std::vector<std::string> target_names(const Family& family, const AdaptedLinears& linears);

}  // namespace lora_dist
