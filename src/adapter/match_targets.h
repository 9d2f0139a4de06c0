// Resolves target_modules to linear layers.
#pragma once

#include <array>
#include <cstdint>
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
/// Takes out the linears that `exclude` matches, by the rules of target_modules; throws likewise.
void exclude_modules(const ModelSpec& model, const std::vector<std::string>& exclude, AdaptedLinears& linears);
/// Takes out all other blocks; empty: none. Throws Error(usage) for a number beyond the model's blocks.
void keep_layers(const ModelSpec& model, const std::vector<std::int64_t>& layers_to_transform, AdaptedLinears& linears);
/// Throws Error(usage) if no linear is left.
void check_any_left(const AdaptedLinears& linears);
/// Throws Error(usage) naming `key` and the pattern that matches no adapted linear, or the linear that two of them match: PEFT
/// sorts the keys where it saves them, so another one could decide after loading.
void check_pattern(const ModelSpec& model, const std::string& key, const std::vector<std::string>& patterns,
                   const AdaptedLinears& linears);
/// Throws Error(usage) naming `key` and the ending that no adapted linear has.
void check_endings(const ModelSpec& model, const std::string& key, const std::vector<std::string>& endings,
                   const AdaptedLinears& linears);
/// The shortest target_modules that match exactly these linears: "c_attn", or "attn.c_proj" if "c_proj" would match others; whole
/// paths if layers differ.
std::vector<std::string> target_names(const Family& family, const AdaptedLinears& linears);

}  // namespace lora_dist
