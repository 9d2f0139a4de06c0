// Norms and residuals around a sublayer's linears, forward and backward side by side.
#include "src/transformer/sublayer.h"

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "src/transformer/trained_norms.h"

namespace lora_dist {

namespace {

NormStatistics statistics_of(const BlockContext& block, const SublayerNorm& norm) {
  return norm.saved.rows(block.tp.shard_tokens());
}

void norm_rows(const BlockContext& block, const SublayerNorm& of, ConstTensorView x, TensorView y) {
  norm(of.weights, block.spec().norm_eps, x, y, statistics_of(block, of), block.stream());
}

void norm_rows_backward(const BlockContext& block, const SublayerNorm& of, ConstTensorView dy, ConstTensorView x, TensorView dx) {
  const NormStatistics saved = statistics_of(block, of);
  norm_backward(of.weights, dy, x, saved, dx, block.stream());
  add_norm_gradient(block.model, of.site, block.layer, {dy, x, saved, !block.tp.sequence_parallel()}, block.linears.grads);
}

/// True if the sublayer's bottleneck, if any, is of this placement.
bool has_bottleneck(const BlockContext& block, const Sublayer& sublayer, BottleneckPlacement placement) {
  return sublayer.bottleneck.exists() && block.model.layout->bottlenecks.options.placement == placement;
}

/// True if the product of the out linear can add the residual itself.
bool adds_residual_at_once(const BlockContext& block, const Sublayer& sublayer) {
  return !sublayer.after.exists() && block.spec().residual_scale == 1.0F &&
         !has_bottleneck(block, sublayer, BottleneckPlacement::houlsby);
}

void scale_residual(const BlockContext& block, const TensorView& x) {
  if (block.spec().residual_scale != 1.0F) {
    scale(x, block.spec().residual_scale, block.stream());
  }
}

/// y = residual + out linear (out_input), summed over the ranks, for this rank's shard. If all ranks keep all rows, the product
/// adds the residual on one of them.
void summed_linear(const BlockContext& block, const Sublayer& sublayer, ConstTensorView residual, TensorView y) {
  const TensorParallel& tp = block.tp;
  if (!tp.sequence_parallel()) {
    linear_and_sum(block, sublayer.out_linear, sublayer.out_input, y, tp.adds_residual() ? residual : ConstTensorView{});
    return;
  }
  linear_forward(block, sublayer.out_linear, sublayer.out_input, tp.gathered.rows(tp.tokens));
  copy(reduce_to_shards(tp, tp.gathered), y, block.stream());
  if (residual.data != nullptr) {
    add_to(residual, y, block.stream());
  }
}

/// The linears' input as saved by forward.
ConstTensorView saved_input(const BlockContext& block, const Sublayer& sublayer) {
  return sublayer.before.exists() || block.tp.sequence_parallel() ? sublayer.input.rows(block.tp.tokens) : sublayer.branch;
}

/// [tokens, hidden]: the gradient of the out linear's output. dout: [shard, hidden], that of the sublayer's.
ConstTensorView output_gradient(const BlockContext& block, const Sublayer& sublayer, const TensorView& dout) {
  const TensorParallel& tp = block.tp;
  if (adds_residual_at_once(block, sublayer)) {
    return gather_shard(tp, dout);
  }
  const RowBuffer& normed = block.gradients().normed;
  const TensorView dplain = shard_of(tp, normed);
  if (sublayer.after.exists()) {
    zero(dplain, block.stream());
    norm_rows_backward(block, sublayer.after, dout, sublayer.plain_output.rows(tp.shard_tokens()), dplain);
  } else {
    copy(dout, dplain, block.stream());
  }
  scale_residual(block, dplain);
  return gather_shards(tp, normed);
}

/// If no norm comes before and all rows are kept, the linears read the hidden state itself, so their gradients go directly to the
/// hidden gradient. It is summed over the ranks afterwards, so only the rank that adds_residual() adds to the present values; the
/// others overwrite them.
bool adds_in_place(const BlockContext& block, const Sublayer& sublayer) {
  return !sublayer.before.exists() && !block.tp.sequence_parallel();
}

}  // namespace

SublayerNorm sublayer_norm(const BlockContext& block, NormSite site, const NormBuffers& saved) {
  return {site, norm_weights(block.model, site, block.layer), saved};
}

ConstTensorView sublayer_input(const BlockContext& block, const Sublayer& sublayer) {
  const TensorParallel& tp = block.tp;
  if (sublayer.before.exists()) {
    norm_rows(block, sublayer.before, sublayer.branch, shard_of(tp, sublayer.input));
  } else if (tp.sequence_parallel()) {
    copy(sublayer.branch, shard_of(tp, sublayer.input), block.stream());
  } else {
    return sublayer.branch;
  }
  return gather_shards(tp, sublayer.input);
}

TensorView fused_rows(const BlockContext& block, std::int64_t width) {
  RowBuffer room = block.saved().fused;
  room.width = width;
  return room.rows(block.tp.tokens);
}

namespace {

/// output = residual + residual_scale * the out linear of out_input, through the norm and houlsby's bottleneck.
void add_to_residual(const BlockContext& block, const Sublayer& sublayer) {
  if (adds_residual_at_once(block, sublayer)) {
    summed_linear(block, sublayer, sublayer.residual, sublayer.output);
    return;
  }
  if (sublayer.after.exists()) {
    const TensorView plain = sublayer.plain_output.rows(block.tp.shard_tokens());
    summed_linear(block, sublayer, {}, plain);
    norm_rows(block, sublayer.after, plain, sublayer.output);
  } else {
    summed_linear(block, sublayer, {}, sublayer.output);
  }
  scale_residual(block, sublayer.output);
  if (has_bottleneck(block, sublayer, BottleneckPlacement::houlsby)) {
    save_bottleneck_input(block, sublayer.bottleneck, sublayer.output, true);
    add_bottleneck(block, sublayer.bottleneck, sublayer.output);
  }
  add_to(sublayer.residual, sublayer.output, block.stream());
}

}  // namespace

void sublayer_output(const BlockContext& block, const Sublayer& sublayer) {
  add_to_residual(block, sublayer);
  const bool parallel = has_bottleneck(block, sublayer, BottleneckPlacement::parallel);
  if (parallel || has_bottleneck(block, sublayer, BottleneckPlacement::pfeiffer)) {
    save_bottleneck_input(block, sublayer.bottleneck, parallel ? sublayer.residual : sublayer.output, !parallel);
    add_bottleneck(block, sublayer.bottleneck, sublayer.output);
  }
}

void save_output_again(const BlockContext& block, const Sublayer& sublayer) {
  if (has_bottleneck(block, sublayer, BottleneckPlacement::parallel)) {
    save_bottleneck_input(block, sublayer.bottleneck, sublayer.residual, false);
  } else if (sublayer.bottleneck.exists()) {  // its input is the output: again into the next block's input, the same bits
    sublayer_output(block, sublayer);
    return;
  }
  if (!sublayer.after.exists()) {
    save_linear_again(block, sublayer.out_linear, sublayer.out_input);
    return;
  }
  const TensorParallel& tp = block.tp;
  const TensorView plain = sublayer.plain_output.rows(tp.shard_tokens());
  summed_linear(block, sublayer, {}, plain);
  // Only the norm's statistics are needed, not the normed rows; the gradients are not in use yet.
  norm_rows(block, sublayer.after, plain, shard_of(tp, block.gradients().normed));
}

namespace {

/// [shard, hidden]: the gradient of the sublayer's output, through houlsby's bottleneck: hidden_gradient stays the residual's.
TensorView through_bottleneck(const BlockContext& block, const Sublayer& sublayer) {
  const TensorView dout = block.hidden_gradient();
  if (!sublayer.bottleneck.exists()) {
    return dout;
  }
  const bool parallel = has_bottleneck(block, sublayer, BottleneckPlacement::parallel);
  bottleneck_backward(block, sublayer.bottleneck, dout,
                      parallel ? sublayer.residual : sublayer.bottleneck.saved.input.rows(dout.rows()));
  if (has_bottleneck(block, sublayer, BottleneckPlacement::houlsby)) {
    const TensorView branch = block.model.workspace->bottleneck.branch.rows(dout.rows());
    copy(dout, branch, block.stream());
    add_bottleneck_gradient(block, sublayer.bottleneck, branch);
    return branch;
  }
  if (!parallel) {
    add_bottleneck_gradient(block, sublayer.bottleneck, dout);
  }
  return dout;
}

}  // namespace

void sublayer_output_backward(const BlockContext& block, const Sublayer& sublayer) {
  const TensorView dout = through_bottleneck(block, sublayer);
  linear_backward(block, sublayer.out_linear, output_gradient(block, sublayer, dout), sublayer.out_input, sublayer.out_gradient,
                  InputGradient::write);
  if (has_bottleneck(block, sublayer, BottleneckPlacement::parallel)) {  // only now: the linear has read the output's gradient
    add_bottleneck_gradient(block, sublayer.bottleneck, dout);
  }
}

InputGradients begin_input_backward(const BlockContext& block, const Sublayer& sublayer, bool wanted) {
  const bool in_place = adds_in_place(block, sublayer);
  InputGradients input;
  input.x = saved_input(block, sublayer);
  input.dx = in_place ? block.hidden_gradient() : block.gradients().normed.rows(block.tp.tokens);
  input.first = in_place && block.tp.adds_residual() ? InputGradient::add : InputGradient::write;
  if (!wanted) {
    input.first = input.others = InputGradient::none;
  }
  return input;
}

void input_linear_backward(const BlockContext& block, Linear linear, ConstTensorView dy, InputGradients& input) {
  linear_backward(block, linear, dy, input.x, input.dx, input.next());
}

void last_input_linear_backward(const BlockContext& block, Linear linear, ConstTensorView dy, InputGradients& input) {
  const InputGradient how = input.next();
  const bool sums = how != InputGradient::none && !block.tp.sequence_parallel();
  (sums ? linear_backward_and_sum : linear_backward)(block, linear, dy, input.x, input.dx, how);
}

void sublayer_input_backward(const BlockContext& block, const Sublayer& sublayer, bool wanted) {
  if (!wanted) {
    return;
  }
  const TensorParallel& tp = block.tp;
  const RowBuffer& normed = block.gradients().normed;
  const TensorView dx = tp.sequence_parallel() ? reduce_to_shards(tp, normed) : normed.rows(tp.tokens);
  if (sublayer.before.exists()) {
    norm_rows_backward(block, sublayer.before, dx, sublayer.branch, block.hidden_gradient());
  } else if (tp.sequence_parallel()) {
    add_to(dx, block.hidden_gradient(), block.stream());
  }
}

}  // namespace lora_dist
