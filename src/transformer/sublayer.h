// The common part of attention and MLP: a norm before or after their linears, a residual, and the TP ranks' sums and shards.
#pragma once

#include <utility>

#include "src/transformer/block_linear.h"
#include "src/transformer/bottleneck_rows.h"

namespace lora_dist {

/// A norm before or after a sublayer, with its saved statistics of this rank's shard.
struct SublayerNorm {
  NormSite site = NormSite::attention;
  NormWeights weights;
  NormBuffers saved;

  bool exists() const { return !weights.weight.empty(); }
};
SublayerNorm sublayer_norm(const BlockContext& block, NormSite site, const NormBuffers& saved);

/// One of a block's two sublayers, with its norms and residual.
struct Sublayer {
  SublayerNorm before;
  SublayerNorm after;
  SublayerBottleneck bottleneck;
  TensorView branch;  // [shard, hidden]: the hidden state that the sublayer reads
  RowBuffer input;    // the linears' input, if it is not the branch itself
  Linear out_linear = Linear::o;
  TensorView out_input;     // [tokens, in]: the out linear's input
  TensorView out_gradient;  // [tokens, in]: gradient of out_input
  RowBuffer plain_output;   // [shard, hidden]: of the out linear, if a norm follows it
  TensorView residual;      // [shard, hidden]: added to the output
  TensorView output;        // [shard, hidden]
};

/// Norms the branch if a norm comes first, and returns the linears' input: [tokens, hidden].
ConstTensorView sublayer_input(const BlockContext& block, const Sublayer& sublayer);
/// output = residual + residual_scale * the out linear of out_input, through the norm if one comes after.
void sublayer_output(const BlockContext& block, const Sublayer& sublayer);
/// [tokens, width]: room for the product of several projections, or for its gradient.
TensorView fused_rows(const BlockContext& block, std::int64_t width);
/// The part that backward needs, without the output.
void save_output_again(const BlockContext& block, const Sublayer& sublayer);

/// From the block's hidden_gradient(), which is kept, to out_gradient and the parameters of the out linear.
void sublayer_output_backward(const BlockContext& block, const Sublayer& sublayer);

/// The linears that read a sublayer's input add their gradients to `dx` one after another; the first one writes to an unset dx.
struct InputGradients {
  ConstTensorView x;                           // the linears' input
  TensorView dx;                               // the gradient of x
  InputGradient first = InputGradient::write;  // of the first linear
  InputGradient others = InputGradient::add;

  /// The mode of the next linear.
  InputGradient next() { return std::exchange(first, others); }
};
/// `wanted`: false if nothing below is trained.
InputGradients begin_input_backward(const BlockContext& block, const Sublayer& sublayer, bool wanted);
/// Backward through one of these linears. dy: [tokens, out]
void input_linear_backward(const BlockContext& block, Linear linear, ConstTensorView dy, InputGradients& input);
/// Backward through the last of these linears: then sums dx over the ranks if all of them keep all rows.
void last_input_linear_backward(const BlockContext& block, Linear linear, ConstTensorView dy, InputGradients& input);
/// Adds dx to the block's hidden_gradient().
void sublayer_input_backward(const BlockContext& block, const Sublayer& sublayer, bool wanted);

}  // namespace lora_dist
