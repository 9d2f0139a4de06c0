// What both halves of a block have in common: a norm before their linears or after them, a residual, and the tensor ranks' sums
// and tokens in between.
#pragma once

#include <utility>

#include "src/transformer/block_linear.h"

namespace lora_dist {

/// The buffers of one half.
struct HalfBuffers {
  const NormWeights* weights = nullptr;
  NormBuffers norm;  // what the norm keeps, of this rank's own rows
  RowBuffer input;   // what the half's linears read, where that is not the branch itself; the MLP's is always there
  RowBuffer plain;   // own rows of the last linear's output, where the norm comes after it
};

/// Norms the branch where the norm comes before, and gives the input of the linears. branch: the hidden state that the half
/// branches off from, own rows; returns [tokens, hidden].
ConstTensorView enter_half(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch);
/// What enter_half gave, for backward.
ConstTensorView entered(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch);

/// out = residual + the half's out linear (o, down) of x, through the norm where that comes after. x: [tokens, in]; residual,
/// out: own rows.
void leave_half(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, Linear out_linear, ConstTensorView x,
                const BlockActivations& kept, ConstTensorView residual, TensorView out);
/// What backward needs of that, without its output.
void leave_half_again(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, Linear out_linear,
                      ConstTensorView x, const BlockActivations& kept);

/// The gradient of the out linear's output, from gradients.hidden, which stays. [tokens, hidden]
ConstTensorView out_gradient(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half,
                             const BlockGradients& gradients);

/// Gradients of the linears that read a half's input flow into `dx` in this order: the first writes where nothing is there yet.
struct HalfInput {
  ConstTensorView x;                           // what the half's linears read
  TensorView dx;                               // where the gradient of x goes
  InputGradient first = InputGradient::write;  // of the first linear that is gone through
  InputGradient others = InputGradient::add;

  /// How the next linear does it.
  InputGradient next() { return std::exchange(first, others); }
};
/// `wanted`: false where nothing below is trained.
HalfInput begin_input_gradient(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch,
                               const BlockGradients& gradients, bool wanted);
/// Backward through the last of those linears: where all ranks keep all rows, dx is summed over them then.
void last_input_backward(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView dy,
                         const BlockActivations& kept, HalfInput& input);
/// Adds what the linears left in dx to gradients.hidden.
void end_input_gradient(const BlockInputs& block, const LoraPass& pass, const HalfBuffers& half, ConstTensorView branch,
                        const BlockGradients& gradients, bool wanted);

}  // namespace lora_dist
