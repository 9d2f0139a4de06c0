// The embedding and the head in forward and backward where their rows are trained.
#pragma once

#include <cstdint>
#include <span>

#include "src/transformer/forward_context.h"

namespace lora_dist {

/// What the head has of some tokens and a chunk of the vocabulary, before the tokens' gradient overwrites `normed`.
struct HeadRows {
  std::int64_t first = 0;   // the chunk's first row among this rank's
  ConstTensorView dlogits;  // [tokens, ids] in the compute dtype
  ConstTensorView normed;   // [tokens, hidden] in the compute dtype
};
/// rows += logits_scale * dlogits^T normed: the gradient of a chunk of the head. rows: f32 [ids, hidden].
void head_gradient(const ForwardContext& model, const HeadRows& chunk, TensorView rows);
/// Adds it to `grads`, the flat buffer, if the head is trained.
void add_head_gradient(const ForwardContext& model, const HeadRows& chunk, std::span<float> grads);

}  // namespace lora_dist
