// The activations of MLPs, plain and gated: SiLU, GELU in both of its forms, ReLU, squared ReLU.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// silu(x) = x / (1 + exp(-x)).
/// GELU (Hendrycks and Gimpel, 2016): gelu_erf is x Phi(x) with the normal distribution Phi; gelu_tanh its approximation
/// x / 2 (1 + tanh(u)), u = sqrt(2 / pi) (x + 0.044715 x^3) (gelu_new, gelu_pytorch_tanh, gelu_fast).
/// relu(x) = max(x, 0), with slope 0 at 0; relu_squared(x) = max(x, 0)^2 (So et al., "Primer", 2021).
enum class Activation : std::uint8_t { silu, gelu_tanh, gelu_erf, relu_squared, relu };

/// y = act(x). x, y: f32 of one shape, on CUDA both f32, both bf16 or both f16; y may be x.
void activate_cpu(ConstTensorView x, Activation act, TensorView y, const Stream& stream);
void activate_cuda(ConstTensorView x, Activation act, TensorView y, const Stream& stream);

/// dx = dy * act'(x); dx may be dy. All f32 of one shape, on CUDA all f32, all bf16 or all f16.
void activate_backward_cpu(ConstTensorView dy, ConstTensorView x, Activation act, TensorView dx, const Stream& stream);
void activate_backward_cuda(ConstTensorView dy, ConstTensorView x, Activation act, TensorView dx, const Stream& stream);

/// out = act(gate) * up (SwiGLU, GEGLU: Shazeer, "GLU variants improve transformer", 2020). gate, up, out: f32 [tokens,
/// intermediate], on CUDA all f32, all bf16 or all f16; out may be gate.
void activate_gated_cpu(ConstTensorView gate, ConstTensorView up, Activation act, TensorView out, const Stream& stream);
void activate_gated_cuda(ConstTensorView gate, ConstTensorView up, Activation act, TensorView out, const Stream& stream);

/// Writes dgate and dup from dout; dgate may be dout. All f32 [tokens, intermediate], on CUDA all f32, all bf16 or all f16.
void activate_gated_backward_cpu(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, Activation act, TensorView dgate,
                                 TensorView dup, const Stream& stream);
void activate_gated_backward_cuda(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, Activation act,
                                  TensorView dgate, TensorView dup, const Stream& stream);

inline void activate(ConstTensorView x, Activation act, TensorView y, const Stream& stream) {
  LORA_DIST_DISPATCH(activate, stream, x, act, y);
}
inline void activate_backward(ConstTensorView dy, ConstTensorView x, Activation act, TensorView dx, const Stream& stream) {
  LORA_DIST_DISPATCH(activate_backward, stream, dy, x, act, dx);
}
inline void activate_gated(ConstTensorView gate, ConstTensorView up, Activation act, TensorView out, const Stream& stream) {
  LORA_DIST_DISPATCH(activate_gated, stream, gate, up, act, out);
}
inline void activate_gated_backward(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, Activation act,
                                    TensorView dgate, TensorView dup, const Stream& stream) {
  LORA_DIST_DISPATCH(activate_gated_backward, stream, dout, gate, up, act, dgate, dup);
}

/// Throws KernelError unless all views have one shape.
template <class... Views>
void check_activation(ConstTensorView first, const Views&... others) {
  require(((first.shape == others.shape) && ...), "activation: all views must have one shape");
}

}  // namespace lora_dist
