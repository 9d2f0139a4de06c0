// The operator calls of a block's MLP, forward and backward.
#include "src/transformer/mlp_half.h"

#include "kernels/activation/activation.h"
#include "src/core/error.h"
#include "src/transformer/block_half.h"

namespace lora_dist {

namespace {

HalfBuffers half_of(const BlockInputs& block, const BlockActivations& kept) {
  return {&block.rest->mlp_norm, kept.mlp_norm, kept.normed_middle, kept.mlp_out};
}

/// What the MLP branches off from: own rows.
ConstTensorView branch_of(const BlockInputs& block, ConstTensorView hidden, const BlockActivations& kept) {
  return block.spec->parallel_residual ? hidden : ConstTensorView(kept.middle.rows(hidden.rows()));
}

void activate_half(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept, std::int64_t n) {
  const ModelSpec& spec = *block.spec;
  if (spec.gated) {
    activate_gated(kept.gate.rows(n), kept.up.rows(n), spec.activation, kept.activated.rows(n), pass.stream);
  } else {
    activate(kept.up.rows(n), spec.activation, kept.activated.rows(n), pass.stream);
  }
}

/// dactivated becomes the gradient of gate, or of up where there is no gate.
void activate_half_backward(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept, TensorView dactivated,
                            TensorView dup) {
  const ModelSpec& spec = *block.spec;
  const std::int64_t n = dactivated.rows();
  if (spec.gated) {
    activate_gated_backward(dactivated, kept.gate.rows(n), kept.up.rows(n), spec.activation, dactivated, dup, pass.stream);
  } else {
    activate_backward(dactivated, kept.up.rows(n), spec.activation, dactivated, pass.stream);
  }
}

}  // namespace

void mlp_forward_to_activated(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden,
                              const BlockActivations& kept) {
  const std::int64_t n = pass.rows.tokens;
  const ConstTensorView input = enter_half(block, pass, half_of(block, kept), branch_of(block, hidden, kept));
  if (block.spec->gated) {
    apply_linear(block, pass, Linear::gate, input, kept, kept.gate.rows(n));
  }
  apply_linear(block, pass, Linear::up, input, kept, kept.up.rows(n));
  activate_half(block, pass, kept, n);
}

void mlp_recompute_cheap(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept) {
  enter_half(block, pass, half_of(block, kept), branch_of(block, hidden, kept));
  activate_half(block, pass, kept, pass.rows.tokens);
}

void mlp_out_forward(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept, TensorView out) {
  leave_half(block, pass, half_of(block, kept), Linear::down, kept.activated.rows(pass.rows.tokens), kept,
             kept.middle.rows(pass.rows.own()), out);
}

void mlp_out_recompute(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept) {
  leave_half_again(block, pass, half_of(block, kept), Linear::down, kept.activated.rows(pass.rows.tokens), kept);
}

void mlp_backward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                  const BlockGradients& gradients, bool input_gradient) {
  const ModelSpec& spec = *block.spec;
  const std::int64_t n = pass.rows.tokens;
  const TensorView dactivated = gradients.activated.rows(n);
  const TensorView dup = spec.gated ? gradients.up.rows(n) : dactivated;
  const ConstTensorView branch = branch_of(block, hidden, kept);
  const HalfBuffers half = half_of(block, kept);

  linear_backward(block, pass, Linear::down, out_gradient(block, pass, half, gradients), kept.activated.rows(n), kept, dactivated,
                  InputGradient::write);
  activate_half_backward(block, pass, kept, dactivated, dup);
  HalfInput input = begin_input_gradient(block, pass, half, branch, gradients, input_gradient);
  if (spec.gated) {
    linear_backward(block, pass, Linear::gate, dactivated, input.x, kept, input.dx, input.next());
  }
  last_input_backward(block, pass, Linear::up, dup, kept, input);
  end_input_gradient(block, pass, half, branch, gradients, input_gradient);
}

}  // namespace lora_dist
