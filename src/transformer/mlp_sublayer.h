// The MLP sublayer: stages 7 to 10 of a block (block.cpp). Each stage reads and writes the block's saved activations, each
// backward its gradients.
#pragma once

#include "src/transformer/sublayer.h"

namespace lora_dist {

/// From saved.middle (or the block's input, with a parallel residual) to the next block's input.
Sublayer mlp_sublayer(const BlockContext& block);

/// gate (if the model has one) and up of the sublayer's input [tokens, hidden].
void project_gate_up(const BlockContext& block, ConstTensorView input);
void project_gate_up_backward(const BlockContext& block, InputGradients& input);

/// Writes saved.activated.
void activate_mlp(const BlockContext& block);
/// gradients.activated becomes the gradient of gate, or of up without a gate.
void activate_mlp_backward(const BlockContext& block);

}  // namespace lora_dist
