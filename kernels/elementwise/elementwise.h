// The few element-wise sums that no product can absorb.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// y += x. x, y: f32 of equal count. On CUDA both may also be bf16, or both f16; the sum is in f32, rounded once.
void add_to_cpu(ConstTensorView x, TensorView y, const Stream& stream);
void add_to_cuda(ConstTensorView x, TensorView y, const Stream& stream);

/// x *= factor. x: f32, on CUDA also bf16 or f16.
void scale_cpu(TensorView x, float factor, const Stream& stream);
void scale_cuda(TensorView x, float factor, const Stream& stream);

inline void add_to(ConstTensorView x, TensorView y, const Stream& stream) { LORA_DIST_DISPATCH(add_to, stream, x, y); }
inline void scale(TensorView x, float factor, const Stream& stream) { LORA_DIST_DISPATCH(scale, stream, x, factor); }

}  // namespace lora_dist
