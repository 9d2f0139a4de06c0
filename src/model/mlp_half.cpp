// The operator calls of a block's MLP, forward and backward.
#include "src/model/mlp_half.h"

#include "kernels/copy/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/geglu/geglu.h"
#include "kernels/gelu/gelu.h"
#include "kernels/swiglu/swiglu.h"
#include "src/core/error.h"
#include "src/model/block_linear.h"
#include "src/model/tensor_sum.h"

namespace lora_dist {

namespace {

Gelu gelu_form(Activation activation) { return activation == Activation::gelu_tanh ? Gelu::tanh : Gelu::erf; }

/// What the MLP branches off from.
ConstTensorView branch_of(const BlockInputs& block, ConstTensorView hidden, const BlockActivations& kept) {
  return block.spec->parallel_residual ? hidden : ConstTensorView(kept.middle.rows(hidden.rows()));
}

void activate(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept, std::int64_t n) {
  const ModelSpec& spec = *block.spec;
  if (!spec.gated) {
    gelu(kept.up.rows(n), gelu_form(spec.activation), kept.activated.rows(n), pass.stream);
  } else if (spec.activation == Activation::silu) {
    swiglu(kept.gate.rows(n), kept.up.rows(n), kept.activated.rows(n), pass.stream);
  } else {
    geglu(kept.gate.rows(n), kept.up.rows(n), gelu_form(spec.activation), kept.activated.rows(n), pass.stream);
  }
}

/// dactivated becomes the gradient of gate, or of up where there is no gate.
void activate_backward(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept, TensorView dactivated,
                       TensorView dup) {
  const ModelSpec& spec = *block.spec;
  const std::int64_t n = dactivated.rows();
  if (!spec.gated) {
    gelu_backward(dactivated, kept.up.rows(n), gelu_form(spec.activation), dactivated, pass.stream);
  } else if (spec.activation == Activation::silu) {
    swiglu_backward(dactivated, kept.gate.rows(n), kept.up.rows(n), dactivated, dup, pass.stream);
  } else {
    geglu_backward(dactivated, kept.gate.rows(n), kept.up.rows(n), gelu_form(spec.activation), dactivated, dup, pass.stream);
  }
}

}  // namespace

void mlp_forward_to_activated(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden,
                              const BlockActivations& kept) {
  const ModelSpec& spec = *block.spec;
  const std::int64_t n = hidden.rows();
  ConstTensorView input = branch_of(block, hidden, kept);
  if (spec.norm_place == NormPlace::before) {
    norm(block.rest->mlp_norm, spec.norm_eps, input, kept.normed_middle.rows(n), kept.mlp_norm.rows(n), pass.stream);
    input = kept.normed_middle.rows(n);
  }
  if (spec.gated) {
    apply_linear(block, pass, Linear::gate, input, kept, kept.gate.rows(n));
  }
  apply_linear(block, pass, Linear::up, input, kept, kept.up.rows(n));
  activate(block, pass, kept, n);
}

void mlp_recompute_cheap(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept) {
  const ModelSpec& spec = *block.spec;
  const std::int64_t n = hidden.rows();
  if (spec.norm_place == NormPlace::before) {
    norm(block.rest->mlp_norm, spec.norm_eps, branch_of(block, hidden, kept), kept.normed_middle.rows(n), kept.mlp_norm.rows(n),
         pass.stream);
  }
  activate(block, pass, kept, n);
}

void mlp_out_forward(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept, TensorView out) {
  const std::int64_t n = out.rows();
  if (block.spec->norm_place == NormPlace::before) {
    apply_linear(block, pass, Linear::down, kept.activated.rows(n), kept, out,
                 has_residual(pass) ? ConstTensorView(kept.middle.rows(n)) : ConstTensorView{});
    sum_over_tensor(pass, out);
    return;
  }
  apply_linear(block, pass, Linear::down, kept.activated.rows(n), kept, kept.mlp_out.rows(n));
  sum_over_tensor(pass, kept.mlp_out.rows(n));
  norm(block.rest->mlp_norm, block.spec->norm_eps, kept.mlp_out.rows(n), out, kept.mlp_norm.rows(n), pass.stream);
  add_to(kept.middle.rows(n), out, pass.stream);
}

void mlp_out_recompute(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept) {
  const std::int64_t n = pass.positions.count();
  if (block.spec->norm_place == NormPlace::before) {
    apply_linear_z(block, pass, Linear::down, kept.activated.rows(n), kept);
    return;
  }
  apply_linear(block, pass, Linear::down, kept.activated.rows(n), kept, kept.mlp_out.rows(n));
  sum_over_tensor(pass, kept.mlp_out.rows(n));
  // The normed rows are not needed, only what the norm keeps.
  norm(block.rest->mlp_norm, block.spec->norm_eps, kept.mlp_out.rows(n), kept.normed_middle.rows(n), kept.mlp_norm.rows(n),
       pass.stream);
}

void mlp_backward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                  const BlockGradients& gradients, bool input_gradient) {
  const ModelSpec& spec = *block.spec;
  const Stream& stream = pass.stream;
  const std::int64_t n = hidden.rows();
  const bool norm_first = spec.norm_place == NormPlace::before;
  const TensorView dhidden = gradients.hidden.rows(n);  // the residual path carries it down unchanged
  const TensorView dactivated = gradients.activated.rows(n);
  const TensorView dup = spec.gated ? gradients.up.rows(n) : dactivated;
  const ConstTensorView branch = branch_of(block, hidden, kept);

  TensorView dout = dhidden;
  if (!norm_first) {
    dout = gradients.normed.rows(n);
    zero(dout, stream);
    norm_backward(block.rest->mlp_norm, dhidden, kept.mlp_out.rows(n), kept.mlp_norm.rows(n), dout, stream);
  }
  linear_backward(block, pass, Linear::down, dout, kept.activated.rows(n), kept, dactivated, InputGradient::write);
  activate_backward(block, pass, kept, dactivated, dup);

  HalfInput input;
  input.x = norm_first ? ConstTensorView(kept.normed_middle.rows(n)) : branch;
  input.dx = norm_first ? gradients.normed.rows(n) : dhidden;
  input.first = norm_first || !has_residual(pass) ? InputGradient::write : InputGradient::add;
  if (!input_gradient) {
    input.first = input.others = InputGradient::none;
  }
  if (spec.gated) {
    linear_backward(block, pass, Linear::gate, dactivated, input.x, kept, input.dx, input.first);
  }
  linear_backward(block, pass, Linear::up, dup, input.x, kept, input.dx, spec.gated ? input.others : input.first);
  if (input_gradient) {
    sum_over_tensor(pass, input.dx);
  }
  if (input_gradient && norm_first) {
    norm_backward(block.rest->mlp_norm, input.dx, branch, kept.mlp_norm.rows(n), dhidden, stream);
  }
}

}  // namespace lora_dist
