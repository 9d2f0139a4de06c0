// A block's linear layers by name, for its sublayers.
#pragma once

#include "src/transformer/block.h"

namespace lora_dist {

/// y = linear(x) + residual (null: none; it must not be y). x: [tokens, in]; y, residual: [tokens, out].
void linear_forward(const BlockContext& block, Linear linear, ConstTensorView x, TensorView y, ConstTensorView residual = {});
/// The same, with y summed over the TP ranks: in pieces of the tokens if sums run beside operators.
void linear_and_sum(const BlockContext& block, Linear linear, ConstTensorView x, TensorView y, ConstTensorView residual);
/// Only the adapter's saved activations, with the bits of linear_and_sum: what recomputation needs of a block's last linear.
void save_linear_again(const BlockContext& block, Linear linear, ConstTensorView x);

/// Writes or adds the gradient of x to dx as `how` says, and those of the parameters to the flat buffer. dy: [tokens, out]; x,
/// dx: [tokens, in].
void linear_backward(const BlockContext& block, Linear linear, ConstTensorView dy, ConstTensorView x, TensorView dx,
                     InputGradient how);
/// The same, with dx summed over the TP ranks while the gradients of the parameters are computed.
void linear_backward_and_sum(const BlockContext& block, Linear linear, ConstTensorView dy, ConstTensorView x, TensorView dx,
                             InputGradient how);

}  // namespace lora_dist
