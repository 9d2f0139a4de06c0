// GELU in both of its forms.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/gelu_point.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// y = gelu(x). x, y: f32 of one shape, on CUDA both f32, both bf16 or both f16; y may be x.
void gelu_cpu(ConstTensorView x, Gelu form, TensorView y, const Stream& stream);
void gelu_cuda(ConstTensorView x, Gelu form, TensorView y, const Stream& stream);

/// dx = dy * gelu'(x); dx may be dy. All f32 of one shape, on CUDA all f32, all bf16 or all f16.
void gelu_backward_cpu(ConstTensorView dy, ConstTensorView x, Gelu form, TensorView dx, const Stream& stream);
void gelu_backward_cuda(ConstTensorView dy, ConstTensorView x, Gelu form, TensorView dx, const Stream& stream);

inline void gelu(ConstTensorView x, Gelu form, TensorView y, const Stream& stream) {
  LORA_DIST_DISPATCH(gelu, stream, x, form, y);
}
inline void gelu_backward(ConstTensorView dy, ConstTensorView x, Gelu form, TensorView dx, const Stream& stream) {
  LORA_DIST_DISPATCH(gelu_backward, stream, dy, x, form, dx);
}

}  // namespace lora_dist
