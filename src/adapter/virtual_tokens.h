// Virtual tokens of prompt learning: rows that an adapter puts before the tokens of every sequence, and trains.
#pragma once

#include <cstdint>
#include <span>

#include "src/adapter/parameter.h"
#include "src/model/model_config.h"

namespace lora_dist {

/// The trained part of virtual tokens.
enum class VirtualPlace : std::uint8_t {
  none,
  input,            // their rows of the first block's input: [count, hidden]
  keys_and_values,  // their keys and values in every block: [count, layers, 2, kv_heads * head_dim]
};

/// The virtual tokens of an adapter. They take the first positions of a sequence.
struct VirtualTokens {
  VirtualPlace place = VirtualPlace::none;
  std::int64_t count = 0;  // 0: none
  Parameter parameter;     // [count, width]

  /// True if the last one predicts a sequence's first token, as in PEFT's labels. Keys and values alone predict nothing.
  bool predict() const { return place == VirtualPlace::input; }
};

/// PEFT's name of the trained tensor.
inline constexpr const char* kPromptEmbeddings = "prompt_embeddings";

/// `count` virtual tokens at offset 0 of the flat buffer.
VirtualTokens make_virtual_tokens(const ModelSpec& model, VirtualPlace place, std::int64_t count);

/// Normal values with standard deviation 1, as those of torch's nn.Embedding. A value depends on (seed, element) alone.
void initialize_virtual_tokens(const VirtualTokens& tokens, std::uint64_t seed, std::span<float> params);

}  // namespace lora_dist
