// A block's linear layers by name: what its two halves call.
#pragma once

#include "src/transformer/block.h"

namespace lora_dist {

/// y = linear(x) + residual (null: nothing is added; it may not be y).
void apply_linear(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView x, const BlockActivations& kept,
                  TensorView y, ConstTensorView residual = {});
/// The same, and y summed over the tensor ranks: piece by piece of the tokens where sums go on beside operators.
void apply_linear_and_sum(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView x,
                          const BlockActivations& kept, TensorView y, ConstTensorView residual);
/// Only z, in the bits of apply_linear_and_sum: what recomputation needs of a block's last linear.
void apply_linear_z(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView x,
                    const BlockActivations& kept);

void linear_backward(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView dy, ConstTensorView x,
                     const BlockActivations& kept, TensorView dx, InputGradient input);
/// The same, and dx summed over the tensor ranks, which the gradients of the factors are computed beside.
void linear_backward_and_sum(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView dy, ConstTensorView x,
                             const BlockActivations& kept, TensorView dx, InputGradient input);

}  // namespace lora_dist
