// The names and shapes of a Llama's tensors: one table that loading, adapters and export all read.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/io/safetensors.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// The seven linear layers of a block, in the order of the flat buffers and of dropout's module numbers.
enum class Linear : std::uint8_t { q, k, v, o, gate, up, down };
inline constexpr std::size_t kLinears = 7;
inline constexpr std::array<Linear, kLinears> kAllLinears = {Linear::q,    Linear::k,  Linear::v,   Linear::o,
                                                             Linear::gate, Linear::up, Linear::down};

constexpr std::size_t index_of(Linear linear) { return static_cast<std::size_t>(linear); }

/// "q_proj" and so on: what target_modules names.
std::string_view module_name(Linear linear);
/// "model.layers.3.self_attn.q_proj": the path of the module, without ".weight".
std::string module_path(std::int64_t layer, Linear linear);

struct LinearShape {
  std::int64_t out = 0;
  std::int64_t in = 0;
  bool bias = false;
};
LinearShape linear_shape(const ModelSpec& config, Linear linear);

std::string input_norm_name(std::int64_t layer);                                 // [hidden]
std::string post_attention_norm_name(std::int64_t layer);                        // [hidden]
inline constexpr std::string_view kEmbeddingName = "model.embed_tokens.weight";  // [vocab, hidden]
inline constexpr std::string_view kFinalNormName = "model.norm.weight";          // [hidden]
inline constexpr std::string_view kHeadName = "lm_head.weight";                  // [vocab, hidden], absent when tied

/// The tensor of that name with that shape and a float dtype; throws Error(model) naming the tensor, both shapes and the file.
const TensorInfo& find_tensor(const TensorDirectory& directory, const std::string& name, const std::vector<std::int64_t>& shape);

/// Checks that every tensor which the configuration implies is there, in its shape. Throws Error(model) for the first that is
/// not.
void check_model_tensors(const ModelSpec& config, const TensorDirectory& directory);

}  // namespace lora_dist
