// The second half of a block: norm, up (and gate), activation, down, residual; and its gradients.
#pragma once

#include "src/transformer/block.h"

namespace lora_dist {

/// Up to kept.activated, the input of the down projection. `hidden`: what entered the block.
void mlp_forward_to_activated(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden,
                              const BlockActivations& kept);
/// For recompute = selective: norm and activation again, from what the products left.
void mlp_recompute_cheap(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept);
/// From kept.activated to the block's output.
void mlp_out_forward(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept, TensorView out);
/// What backward needs of the down projection, without the block's output.
void mlp_out_recompute(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept);

/// gradients.hidden is that of the block's output; what comes through the MLP is added to it (unless `input_gradient` is false).
void mlp_backward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                  const BlockGradients& gradients, bool input_gradient);

}  // namespace lora_dist
