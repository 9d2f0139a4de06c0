// GEGLU (Shazeer, "GLU variants improve transformer", 2020): out = gelu(gate) * up.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/gelu_point.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// gate, up, out: f32 [tokens, intermediate], on CUDA all f32, all bf16 or all f16; out may be gate.
void geglu_cpu(ConstTensorView gate, ConstTensorView up, Gelu form, TensorView out, const Stream& stream);
void geglu_cuda(ConstTensorView gate, ConstTensorView up, Gelu form, TensorView out, const Stream& stream);

/// Writes dgate and dup from dout; dgate may be dout. All f32 [tokens, intermediate], on CUDA all f32, all bf16 or all f16.
void geglu_backward_cpu(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, Gelu form, TensorView dgate,
                        TensorView dup, const Stream& stream);
void geglu_backward_cuda(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, Gelu form, TensorView dgate,
                         TensorView dup, const Stream& stream);

inline void geglu(ConstTensorView gate, ConstTensorView up, Gelu form, TensorView out, const Stream& stream) {
  LORA_DIST_DISPATCH(geglu, stream, gate, up, form, out);
}
inline void geglu_backward(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, Gelu form, TensorView dgate,
                           TensorView dup, const Stream& stream) {
  LORA_DIST_DISPATCH(geglu_backward, stream, dout, gate, up, form, dgate, dup);
}

}  // namespace lora_dist
