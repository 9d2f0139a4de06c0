// The MLP sublayer: stages 7 to 10 of a block (block.cpp). Each reads and writes the block's saved activations, each backward its
// gradients.
#pragma once

#include "src/transformer/sublayer.h"

namespace lora_dist {

/// From saved.middle (or what entered the block, with a parallel residual) to what enters the next block.
Sublayer mlp_sublayer(const BlockContext& block);

/// gate (where the model has one) and up of the sublayer's input [tokens, hidden].
void project_gate_up(const BlockContext& block, ConstTensorView input);
void project_gate_up_backward(const BlockContext& block, InputGradients& input);

/// To saved.activated.
void activate_mlp(const BlockContext& block);
/// gradients.activated becomes that of gate, or of up where there is no gate.
void activate_mlp_backward(const BlockContext& block);

}  // namespace lora_dist
