// What attention and MLP have in common: a norm before their linears or after them, a residual, and the TP ranks' sums and
// shards in between.
#pragma once

#include <utility>

#include "src/transformer/block_linear.h"

namespace lora_dist {

/// One of a block's two sublayers as its norm and residual see it.
struct Sublayer {
  const NormWeights* weights = nullptr;
  NormBuffers norm;   // its saved statistics, of this rank's shard
  TensorView branch;  // [shard, hidden]: the hidden state that it reads
  RowBuffer input;    // what its linears read, where that is not the branch itself; the MLP's is always there
  Linear out_linear = Linear::o;
  TensorView out_input;     // [tokens, in]: what that reads
  TensorView out_gradient;  // [tokens, in]: and its gradient
  RowBuffer plain_output;   // [shard, hidden]: of the out linear, where the norm comes after it
  TensorView residual;      // [shard, hidden]: what the output is added to
  TensorView output;        // [shard, hidden]
};

/// Norms the branch where the norm comes before, and gives the input of the linears: [tokens, hidden].
ConstTensorView sublayer_input(const BlockContext& block, const Sublayer& sublayer);
/// output = residual + the out linear of out_input, through the norm where that comes after.
void sublayer_output(const BlockContext& block, const Sublayer& sublayer);
/// What backward needs of that, without the output.
void save_output_again(const BlockContext& block, const Sublayer& sublayer);

/// From the block's hidden_gradient(), which stays, to out_gradient and the parameters of the out linear.
void sublayer_output_backward(const BlockContext& block, const Sublayer& sublayer);

/// Gradients of the linears that read a sublayer's input flow into `dx` one after another: the first writes where nothing is
/// there yet.
struct InputGradients {
  ConstTensorView x;                           // what the linears read
  TensorView dx;                               // where the gradient of x goes
  InputGradient first = InputGradient::write;  // of the first linear
  InputGradient others = InputGradient::add;

  /// How the next linear does it.
  InputGradient next() { return std::exchange(first, others); }
};
/// `wanted`: false where nothing below is trained.
InputGradients begin_input_backward(const BlockContext& block, const Sublayer& sublayer, bool wanted);
/// Backward through one of those linears. dy: [tokens, out]
void input_linear_backward(const BlockContext& block, Linear linear, ConstTensorView dy, InputGradients& input);
/// Backward through the last of them: where all ranks keep all rows, dx is summed over them then.
void last_input_linear_backward(const BlockContext& block, Linear linear, ConstTensorView dy, InputGradients& input);
/// Adds what the linears left in dx to the block's hidden_gradient().
void sublayer_input_backward(const BlockContext& block, const Sublayer& sublayer, bool wanted);

}  // namespace lora_dist
