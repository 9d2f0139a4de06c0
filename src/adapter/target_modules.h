// Which linear layers target_modules name.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "src/model/tensor_table.h"

namespace lora_dist {

/// The linears of each layer that are adapted.
using AdaptedLinears = std::vector<std::array<bool, kLinears>>;

/// The linears that target_modules name, as PEFT matches them: a whole path, or an ending of paths that starts after a dot;
/// "all-linear"; what holds other characters than paths do is a regular expression for whole paths. Throws Error(usage) for one
/// that matches nothing, with the names that exist in this model, or that is no regular expression.
AdaptedLinears match_targets(const ModelSpec& model, const std::vector<std::string>& target_modules);
/// The shortest target_modules that name exactly these linears: "c_attn", or "attn.c_proj" where "c_proj" would name others too;
/// whole paths where layers differ.
std::vector<std::string> target_names(const Family& family, const AdaptedLinears& linears);

}  // namespace lora_dist
