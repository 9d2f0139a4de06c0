// A frozen linear layer with its LoRA factors: y = x W^T + bias + scale * (dropout(x) A^T) B^T, and its gradients.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/adapter/adapters.h"
#include "src/base/weight_window.h"
#include "src/transformer/tensor_rows.h"

namespace lora_dist {

/// Buffers that every linear of a pass uses in turn.
struct LinearScratch {
  TensorView weight;        // CPU: the largest weight, dequantized, in the compute dtype
  std::span<float> absmax;  // and its block scales, when they are quantized too
  TensorView dropped;       // [tokens * widest input], compute dtype: the input after dropout; in backward also dz A
  TensorView dz;            // [tokens * largest r], compute dtype
};

/// What all linears of a pass share.
struct LoraPass {
  ConstTensorView params;  // the flat buffer of factors, in the compute dtype
  std::span<float> grads;  // the same places; each factor's gradient is written once a pass
  float dropout = 0.0F;    // 0 outside training
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  ConstTensorView samples;    // i32 [tokens]: sample id of each token, for the dropout mask
  ConstTensorView positions;  // i32 [tokens]: place of each token in its sample
  LinearScratch scratch;
  TensorRows rows;
  WeightWindow* window = nullptr;  // poked between products so that the next block's gather moves
  Stream stream;
};

/// One linear of one block.
struct LoraLinear {
  FrozenWeight weight;
  ConstTensorView bias;              // [out] in the compute dtype; null: none
  const LoraPlace* place = nullptr;  // null: not adapted
  std::uint32_t layer = 0;
  Linear linear = Linear::q;
};

/// f32 here is the compute dtype. x: f32 [tokens, in]; y: f32 [tokens, out]; z: f32 [tokens, r] = dropout(x) A^T, kept for
/// backward (ignored where the layer is not adapted). `residual`: f32 [tokens, out] that is added, not y itself; null: nothing.
/// The thin product is the first to write y, so that the frozen one, which has time to spare for it, reads what is there.
void lora_linear(const LoraLinear& layer, const LoraPass& pass, ConstTensorView x, TensorView z, TensorView y,
                 ConstTensorView residual = {});
/// Only z: what recomputation needs of a block's last linear.
void lora_linear_z(const LoraLinear& layer, const LoraPass& pass, ConstTensorView x, TensorView z);

enum class InputGradient : std::uint8_t { none, write, add };

/// Writes the gradients of A and B to pass.grads, and the gradient of x to dx: f32 [tokens, in] as `input` says.
/// dy: f32 [tokens, out]; x and z as in forward. The weight and bias are frozen and get none.
/// dz = scale * dy B; dB = scale * dy^T z; dA = dz^T dropout(x); dx = dy W + mask * (dz A).
void lora_linear_backward(const LoraLinear& layer, const LoraPass& pass, ConstTensorView dy, ConstTensorView x, ConstTensorView z,
                          TensorView dx, InputGradient input);

/// The parts of that, in this order: dz [tokens, r] in scratch (null: not adapted), which the other two read; the gradient of x
/// (of a run of tokens as well, see of_tokens), whose sum over tensor ranks can then go on beside those of A and B.
TensorView lora_linear_dz(const LoraLinear& layer, const LoraPass& pass, ConstTensorView dy);
void lora_linear_input_gradient(const LoraLinear& layer, const LoraPass& pass, ConstTensorView dy, ConstTensorView dz,
                                TensorView dx, InputGradient input);
void lora_linear_factor_gradients(const LoraLinear& layer, const LoraPass& pass, ConstTensorView dy, ConstTensorView dz,
                                  ConstTensorView x, ConstTensorView z);

/// The pass as the operators see a run of its tokens.
LoraPass of_tokens(const LoraPass& pass, const TokenRange& tokens);

}  // namespace lora_dist
