// The hooks of an adapter method for one linear layer, forward and backward: the frozen product and the method's update.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "kernels/matmul/matmul.h"
#include "src/adapter/parameter.h"
#include "src/adapter/token_range.h"
#include "src/base/weight_window.h"
#include "src/comm/communicator.h"

namespace lora_dist {

/// The dropout of a training step.
struct StepDropout {
  float p = 0.0F;
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
};

/// Scratch that the linears of a micro-batch reuse, in the compute dtype except absmax.
struct LinearScratch {
  TensorView weight;        // CPU: the largest weight, dequantized
  std::span<float> absmax;  // its block scales, with double quantization
  TensorView dropped;       // [tokens * widest input]: the input after dropout; in backward also the gradient of it
  TensorView method;        // the largest LinearHooks::scratch_elements of all linears
};

/// The context that all linears of a micro-batch share.
struct LinearContext {
  ConstTensorView params;      // the flat buffer, in the compute dtype
  ConstTensorView params_f32;  // the same, not rounded
  std::span<float> grads;      // the same offsets; each parameter's gradient is written once per micro-batch
  StepDropout dropout;         // p = 0 outside training
  ConstTensorView sample_ids;  // i32 [tokens]: determines the dropout mask, with positions
  ConstTensorView positions;   // i32 [tokens]: position in the sample
  LinearScratch scratch;
  WeightWindow* window = nullptr;  // progresses between products, which advances the next block's gather
  Stream stream;
  Communicator* tensor = nullptr;  // the TP ranks, over the operators' memory; null: only this one
  ConstTensorView frozen = {};     // the flat buffer of frozen tensors, in the compute dtype
  ConstTensorView initial = {};    // the flat buffer's initial values, in the compute dtype; null: no layer is residual
};

/// The activations that a layer's forward hook saves for backward, in the compute dtype.
struct SavedByAdapter {
  TensorView rows;    // [tokens, saved_width]
  TensorView output;  // [tokens, out] if the method saves its output; null: it does not, or nothing is trained
};

/// One linear of one block.
struct LinearLayer {
  FrozenWeight weight;
  ConstTensorView bias;                    // [out] in the compute dtype; null: none
  const AdaptedLinear* adapted = nullptr;  // null: not adapted
  std::uint32_t layer = 0;
  Linear linear = Linear::q;
};

/// A backward product writes, adds to, or skips the gradient of its input.
enum class InputGradient : std::uint8_t { none, write, add };

/// f32 here is the compute dtype. x: f32 [tokens, in]; y, dy: f32 [tokens, out].
struct LinearHooks {
  /// The width of SavedByAdapter::rows.
  std::int64_t (*saved_width)(const AdaptedLinear& linear);
  /// `out` if SavedByAdapter::output is used, else 0. Null: 0.
  std::int64_t (*saved_output_width)(const AdaptedLinear& linear);
  /// Elements of LinearScratch::method for this number of tokens. Its content survives from a layer's begin_forward or
  /// begin_backward to its last hook.
  std::int64_t (*scratch_elements)(const AdaptedLinear& linear, std::int64_t tokens);
  /// Computes the values that do not depend on tokens; may use collectives of TP ranks. Null: there are none.
  void (*begin_forward)(const LinearLayer& layer, const LinearContext& context);
  /// y = layer(x) + residual (f32 [tokens, out], not y itself; null: nothing).
  void (*forward)(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved,
                  TensorView y, ConstTensorView residual);
  /// Computes only `saved`, with forward's bits: recomputation needs it for a block's last linear.
  void (*save_again)(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved);

  // Backward, in this order. The all-reduce of dx over TP ranks overlaps parameter_gradients.
  void (*begin_backward)(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy);
  /// The gradient of x for a range of tokens. dy and dx cover all tokens; `how` is not `none`.
  void (*input_gradient)(const LinearLayer& layer, const LinearContext& context, const TokenRange& tokens, ConstTensorView dy,
                         TensorView dx, InputGradient how);
  /// Writes the gradients of the layer's parameters to context.grads.
  void (*parameter_gradients)(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, ConstTensorView x,
                              const SavedByAdapter& saved);
};

/// The context of a range of tokens.
LinearContext of_tokens(const LinearContext& context, const TokenRange& tokens);

/// y = x W^T + addends: the frozen product.
void frozen_product(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const Added& added, TensorView y);
/// dx = dy W, or dx += dy W.
void frozen_product_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, TensorView dx, bool add);

/// The layer's weight [out, in] in the compute dtype: the window's, or dequantized to scratch.
ConstTensorView dequantized(const LinearLayer& layer, const LinearContext& context);

/// The rows of a range of tokens.
SavedByAdapter rows_of(const SavedByAdapter& saved, const TokenRange& tokens);

/// The parameter's values [rows, cols] in the compute dtype.
ConstTensorView values_of(const LinearContext& context, const Parameter& parameter);
/// The same of its initial values.
ConstTensorView initial_values_of(const LinearContext& context, const Parameter& parameter);
/// The same of a frozen tensor.
ConstTensorView frozen_values_of(const LinearContext& context, const Parameter& frozen);
/// A parameter's values in f32.
ConstTensorView exact_values_of(const LinearContext& context, const Parameter& parameter);
/// The parameter's gradient: f32.
TensorView gradient_of(const LinearContext& context, const Parameter& parameter);
/// The adapter's input: x, or x after dropout in scratch.dropped.
ConstTensorView dropped_input(const LinearLayer& layer, const LinearContext& context, ConstTensorView x);
/// dx = mask * dropped_dx, or dx += mask * dropped_dx. dropped_dx may be scratch.dropped, or dx itself if nothing is added.
void dropped_input_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dropped_dx, TensorView dx,
                            bool add);
/// The front of a scratch buffer as a view of that shape. Throws KernelError if the buffer is too small.
TensorView front_of(const TensorView& scratch, Shape shape);

}  // namespace lora_dist
