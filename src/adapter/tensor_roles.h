// PEFT's names of the tensors of an adapted module: "<path>.lora_A".
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace lora_dist {

inline constexpr std::string_view kLoraA = "lora_A";                     // [r, in]
inline constexpr std::string_view kLoraB = "lora_B";                     // [out, r]
inline constexpr std::string_view kLoraE = "lora_E";                     // AdaLoRA's singular values: [r, 1]
inline constexpr std::string_view kMagnitude = "lora_magnitude_vector";  // DoRA's m: [out]
inline constexpr std::string_view kIa3Factors = "ia3_l";                 // [out, 1], or [1, in] of feed-forward modules

inline constexpr std::string_view kNormWeight = "ln_tuning_layers";     // [hidden]
inline constexpr std::string_view kNormBias = "ln_tuning_layers.bias";  // [hidden]

// Tensors of modules_to_save and trainable_token_indices.
inline constexpr std::string_view kSavedWeight = "modules_to_save";       // "<path>.weight" in folders
inline constexpr std::string_view kSavedBias = "modules_to_save.bias";    // "<path>.bias" in folders
inline constexpr std::string_view kTokenAdapter = ".token_adapter";       // after the path of the table
inline constexpr std::string_view kTokenRows = "trainable_tokens_delta";  // [ids, hidden]: rows, not their changes

inline constexpr std::string_view kVeraB = "vera_lambda_b";  // [out]
inline constexpr std::string_view kVeraD = "vera_lambda_d";  // [r]
inline constexpr std::string_view kProjectionA = "vera_A";   // [r, widest input], shared by all modules
inline constexpr std::string_view kProjectionB = "vera_B";   // [widest output, r], shared

// Of bottleneck adapters.
inline constexpr std::string_view kDown = "adapter_down";           // [width, hidden]
inline constexpr std::string_view kDownBias = "adapter_down.bias";  // [width]
inline constexpr std::string_view kUp = "adapter_up";               // [hidden, width]
inline constexpr std::string_view kUpBias = "adapter_up.bias";      // [hidden]

/// "model.layers.0.self_attn.q_proj" and "lora_A" of their join with a dot; without a dot, the role of the whole model, whose
/// path is empty. The role of a bias has two parts.
inline std::pair<std::string, std::string> path_and_role(const std::string& name) {
  constexpr std::string_view kBias = ".bias";
  const std::size_t dot = name.ends_with(kBias) ? name.rfind('.', name.size() - kBias.size() - 1) : name.rfind('.');
  return dot == std::string::npos ? std::pair{std::string(), name} : std::pair{name.substr(0, dot), name.substr(dot + 1)};
}

/// "<path>.<role>", or "<role>" of the whole model.
inline std::string tensor_of(const std::string& path, std::string_view role) {
  return path.empty() ? std::string(role) : path + "." + std::string(role);
}

}  // namespace lora_dist
