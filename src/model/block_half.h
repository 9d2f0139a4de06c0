// What both halves of a block have in common: a norm before their linears or after them, a residual, and the tensor ranks' sums
// and tokens in between.
#pragma once

#include "src/model/block_linear.h"

namespace lora_dist {

/// The buffers of one half.
struct HalfBuffers {
  const NormWeights* weights = nullptr;
  NormBuffers norm;  // what the norm keeps, of this rank's own rows
  RowBuffer input;   // what the half's linears read, where that is not the branch itself
  RowBuffer plain;   // own rows of the last linear's output, where the norm comes after it
};

/// Norms the branch where the norm comes before, and gives the linears' input. branch: own rows; returns [tokens, hidden].
ConstTensorView enter_half(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch);
/// What enter_half gave, for backward.
ConstTensorView entered(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch);

/// out = residual + the last linear of x, through the norm where that comes after. x: [tokens, in]; residual, out: own rows.
void leave_half(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, Linear last, ConstTensorView x,
                const BlockActivations& kept, ConstTensorView residual, TensorView out);
/// What backward needs of that, without its output.
void leave_half_again(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, Linear last, ConstTensorView x,
                      const BlockActivations& kept);

/// The gradient of the last linear's output, from gradients.hidden, which stays. [tokens, hidden]
ConstTensorView last_gradient(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half,
                              const BlockGradients& gradients);

/// Gradients of a half's linears flow into `dx` of their input in this order: the first linear writes where nothing is there yet.
struct HalfInput {
  ConstTensorView x;                           // what the half's linears read
  TensorView dx;                               // where the gradient of x goes
  InputGradient first = InputGradient::write;  // of the first linear that is gone through
  InputGradient others = InputGradient::add;
};
/// `wanted`: false where nothing below is trained.
HalfInput begin_input_gradient(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch,
                               const BlockGradients& gradients, bool wanted);
/// Backward through the half's linear that is gone through last: where all ranks keep all rows, dx is summed then.
void last_linear_backward(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView dy,
                          const BlockActivations& kept, const HalfInput& input, InputGradient how);
/// Adds what the linears left in dx to gradients.hidden.
void end_input_gradient(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch,
                        const BlockGradients& gradients, bool wanted);

}  // namespace lora_dist
