// The attention sublayer: stages 1 to 6 of a block (block.cpp). Each stage reads and writes the block's saved activations, each
// backward its gradients.
#pragma once

#include "src/transformer/sublayer.h"

namespace lora_dist {

/// From the block's input to saved.middle.
Sublayer attention_sublayer(const BlockContext& block);

/// q, k and v of the sublayer's input [tokens, hidden], before the norm of heads.
void project_qkv(const BlockContext& block, ConstTensorView input);
void project_qkv_backward(const BlockContext& block, InputGradients& input);

/// RMSNorm of each head of q and k, or of all heads together, if the model has it (Qwen3, EXAONE 4; OLMo 2).
void norm_heads(const BlockContext& block);
void norm_heads_backward(const BlockContext& block);

/// Rotary positions of q and k, if the layer has them.
void rotate(const BlockContext& block);
void rotate_backward(const BlockContext& block);

/// Writes saved.attended; with a cache, appends this call's keys and values to it and attends to all of it.
void attend(const BlockContext& block);
/// From gradients.attended to the gradients of q, k and v.
void attend_backward(const BlockContext& block);

}  // namespace lora_dist
