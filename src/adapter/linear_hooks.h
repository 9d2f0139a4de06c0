// What an adapter method does with one linear layer: the frozen product and the method's own part, forward and backward.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "kernels/matmul/matmul.h"
#include "src/adapter/parameter.h"
#include "src/adapter/token_range.h"
#include "src/base/weight_window.h"

namespace lora_dist {

/// Dropout of a training step.
struct StepDropout {
  float p = 0.0F;
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
};

/// Buffers that every linear of a micro-batch uses in turn, in the compute dtype but for absmax.
struct LinearScratch {
  TensorView weight;        // CPU: the largest weight, dequantized
  std::span<float> absmax;  // and its block scales, when they are quantized too
  TensorView dropped;       // [tokens * widest input]: the input after dropout; in backward also its gradient
  TensorView method;        // LinearHooks::scratch_elements of the most demanding linear
};

/// What all linears of a micro-batch share.
struct LinearContext {
  ConstTensorView params;      // the flat buffer, in the compute dtype
  std::span<float> grads;      // the same offsets; each parameter's gradient is written once a micro-batch
  StepDropout dropout;         // p = 0 outside training
  ConstTensorView sample_ids;  // i32 [tokens]: with positions, names the dropout mask
  ConstTensorView positions;   // i32 [tokens]: in the sample
  LinearScratch scratch;
  WeightWindow* window = nullptr;  // progresses between products, so that the next block's gather moves
  Stream stream;
};

/// One linear of one block.
struct LinearLayer {
  FrozenWeight weight;
  ConstTensorView bias;                    // [out] in the compute dtype; null: none
  const AdaptedLinear* adapted = nullptr;  // null: frozen alone
  std::uint32_t layer = 0;
  Linear linear = Linear::q;
};

/// What a backward product does with the gradient of its input.
enum class InputGradient : std::uint8_t { none, write, add };

/// f32 here is the compute dtype. x: f32 [tokens, in]; y, dy: f32 [tokens, out]; saved: f32 [tokens, saved_width].
struct LinearHooks {
  /// Columns of what forward saves for backward.
  std::int64_t (*saved_width)(const AdaptedLinear& linear);
  /// Elements of LinearScratch::method for so many tokens. What a backward hook leaves there stays until the layer's last one.
  std::int64_t (*scratch_elements)(const AdaptedLinear& linear, std::int64_t tokens);
  /// y = layer(x) + residual (f32 [tokens, out], not y itself; null: nothing).
  void (*forward)(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, TensorView saved, TensorView y,
                  ConstTensorView residual);
  /// Only `saved`, in the bits of forward: what recomputation needs of a block's last linear.
  void (*save_again)(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, TensorView saved);

  // Backward, in this order. The sum of dx over TP ranks goes on beside parameter_gradients.
  void (*begin_backward)(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy);
  /// The gradient of x for some of the tokens. dy and dx are of all tokens; `how` is not `none`.
  void (*input_gradient)(const LinearLayer& layer, const LinearContext& context, const TokenRange& tokens, ConstTensorView dy,
                         TensorView dx, InputGradient how);
  /// Writes the gradients of the layer's parameters to context.grads.
  void (*parameter_gradients)(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, ConstTensorView x,
                              ConstTensorView saved);
};

/// The context as the operators see some of its tokens.
LinearContext of_tokens(const LinearContext& context, const TokenRange& tokens);

/// y = x W^T + what is added: the frozen weight's part.
void frozen_product(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const Added& added, TensorView y);
/// dx = dy W, or that added to dx.
void frozen_product_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, TensorView dx, bool add);

/// A parameter's values [rows, cols] in the compute dtype.
ConstTensorView values_of(const LinearContext& context, const Parameter& parameter);
/// Where its gradient is written: f32.
TensorView gradient_of(const LinearContext& context, const Parameter& parameter);
/// The adapter's input: x itself, or x after dropout in scratch.dropped.
ConstTensorView dropped_input(const LinearLayer& layer, const LinearContext& context, ConstTensorView x);
/// dx = mask * dropped_dx, or that added to dx. dropped_dx may be scratch.dropped, or dx itself where nothing is added.
void dropped_input_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dropped_dx, TensorView dx,
                            bool add);
/// The first elements of a scratch buffer, in a shape. Throws KernelError when they are not there.
TensorView front_of(const TensorView& scratch, Shape shape);

}  // namespace lora_dist
