// The operator calls of the MLP sublayer, forward and backward.
#include "src/transformer/mlp_sublayer.h"

#include "kernels/activation/activation.h"
#include "kernels/fused_parts/fused_parts.h"

namespace lora_dist {

namespace {

/// The buffer of up's gradient.
TensorView up_gradient(const BlockContext& block) {
  const BlockGradients& gradients = block.gradients();
  return (block.spec().gated ? gradients.up : gradients.activated).rows(block.tp.tokens);
}

}  // namespace

Sublayer mlp_sublayer(const BlockContext& block) {
  const SavedActivations& saved = block.saved();
  const std::int64_t shard = block.tp.shard_tokens();
  Sublayer sublayer;
  sublayer.before = sublayer_norm(block, NormSite::mlp, saved.mlp_norm);
  sublayer.after = sublayer_norm(block, NormSite::mlp_out, saved.mlp_out_norm);
  sublayer.bottleneck = sublayer_bottleneck(block, BottleneckSite::mlp, saved.mlp_bottleneck);
  sublayer.residual = saved.middle.rows(shard);
  sublayer.branch = block.spec().parallel_residual ? block.hidden() : sublayer.residual;
  sublayer.input = saved.normed_middle;
  sublayer.out_linear = Linear::down;
  sublayer.out_input = saved.activated.rows(block.tp.tokens);
  sublayer.out_gradient = block.gradients().activated.rows(block.tp.tokens);
  sublayer.plain_output = saved.mlp_out;
  sublayer.output = block.buffers.entering(block.layer + 1).rows(shard);
  return sublayer;
}

void project_gate_up(const BlockContext& block, ConstTensorView input) {
  const SavedActivations& saved = block.saved();
  if (block.spec().fused_gate_up) {
    const TensorView gate = saved.gate.rows(block.tp.tokens);
    const TensorView up = saved.up.rows(block.tp.tokens);
    const TensorView fused = fused_rows(block, gate.cols() + up.cols());
    linear_forward(block, Linear::gate_up, input, fused);
    split_parts(fused, 1, {gate, up}, block.stream());
    return;
  }
  if (block.spec().gated) {
    linear_forward(block, Linear::gate, input, saved.gate.rows(block.tp.tokens));
  }
  linear_forward(block, Linear::up, input, saved.up.rows(block.tp.tokens));
}

void project_gate_up_backward(const BlockContext& block, InputGradients& input) {
  if (block.spec().fused_gate_up) {
    const TensorView dgate = block.gradients().activated.rows(block.tp.tokens);
    const TensorView dup = up_gradient(block);
    const TensorView dfused = fused_rows(block, dgate.cols() + dup.cols());
    join_parts({dgate, dup}, 1, dfused, block.stream());
    last_input_linear_backward(block, Linear::gate_up, dfused, input);
    return;
  }
  if (block.spec().gated) {
    input_linear_backward(block, Linear::gate, block.gradients().activated.rows(block.tp.tokens), input);
  }
  last_input_linear_backward(block, Linear::up, up_gradient(block), input);
}

void activate_mlp(const BlockContext& block) {
  const ModelSpec& spec = block.spec();
  const SavedActivations& saved = block.saved();
  const std::int64_t n = block.tp.tokens;
  if (spec.gated) {
    activate_gated(saved.gate.rows(n), saved.up.rows(n), spec.activation, saved.activated.rows(n), block.stream());
  } else {
    activate(saved.up.rows(n), spec.activation, saved.activated.rows(n), block.stream());
  }
}

void activate_mlp_backward(const BlockContext& block) {
  const ModelSpec& spec = block.spec();
  const SavedActivations& saved = block.saved();
  const std::int64_t n = block.tp.tokens;
  const TensorView dactivated = block.gradients().activated.rows(n);
  if (spec.gated) {
    activate_gated_backward(dactivated, saved.gate.rows(n), saved.up.rows(n), spec.activation, dactivated, up_gradient(block),
                            block.stream());
  } else {
    activate_backward(dactivated, saved.up.rows(n), spec.activation, dactivated, block.stream());
  }
}

}  // namespace lora_dist
