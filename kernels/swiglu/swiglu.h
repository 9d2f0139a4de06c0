// SwiGLU (Shazeer, "GLU variants improve transformer", 2020): out = silu(gate) * up, silu(x) = x / (1 + exp(-x)).
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// gate, up, out: f32 [tokens, intermediate], on CUDA all f32, all bf16 or all f16; out may be gate.
void swiglu_cpu(ConstTensorView gate, ConstTensorView up, TensorView out, const Stream& stream);
void swiglu_cuda(ConstTensorView gate, ConstTensorView up, TensorView out, const Stream& stream);

/// Writes dgate and dup from dout; dgate may be dout. All f32 [tokens, intermediate], on CUDA all f32, all bf16 or
/// all f16.
void swiglu_backward_cpu(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, TensorView dgate, TensorView dup,
                         const Stream& stream);
void swiglu_backward_cuda(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, TensorView dgate, TensorView dup,
                          const Stream& stream);

inline void swiglu(ConstTensorView gate, ConstTensorView up, TensorView out, const Stream& stream) {
  LORA_DIST_DISPATCH(swiglu, stream, gate, up, out);
}
inline void swiglu_backward(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, TensorView dgate, TensorView dup,
                            const Stream& stream) {
  LORA_DIST_DISPATCH(swiglu_backward, stream, dout, gate, up, dgate, dup);
}

}  // namespace lora_dist
