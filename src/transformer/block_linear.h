// A block's linear layers by name: what its sublayers call.
#pragma once

#include "src/transformer/block.h"

namespace lora_dist {

/// y = linear(x) + residual (null: nothing is added; it may not be y). x: [tokens, in]; y, residual: [tokens, out].
void linear_forward(const BlockContext& block, Linear linear, ConstTensorView x, TensorView y, ConstTensorView residual = {});
/// The same, and y summed over the TP ranks: piece by piece of the tokens where sums go on beside operators.
void linear_and_sum(const BlockContext& block, Linear linear, ConstTensorView x, TensorView y, ConstTensorView residual);
/// Only what the adapter saves, in the bits of linear_and_sum: what recomputation needs of a block's last linear.
void save_linear_again(const BlockContext& block, Linear linear, ConstTensorView x);

/// The gradient of x goes to dx as `how` says, those of the parameters to the flat buffer. dy: [tokens, out]; x, dx: [tokens,
/// in].
void linear_backward(const BlockContext& block, Linear linear, ConstTensorView dy, ConstTensorView x, TensorView dx,
                     InputGradient how);
/// The same, and dx summed over the TP ranks, which the gradients of the parameters are computed beside.
void linear_backward_and_sum(const BlockContext& block, Linear linear, ConstTensorView dy, ConstTensorView x, TensorView dx,
                             InputGradient how);

}  // namespace lora_dist
