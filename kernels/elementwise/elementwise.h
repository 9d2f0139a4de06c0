// Operators that treat each element alike: between float types, and the few sums and products that no matrix product can absorb.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// Between float types: files hold f32, f16 or bf16; the CPU computes in f32.
/// in, out: f32, f16 or bf16 [n] (any shapes of equal count), one of them f32. To a narrower type rounds to nearest even.
/// On CUDA neither need be f32: any to any.
void cast_cpu(ConstTensorView in, TensorView out, const Stream& stream);
void cast_cuda(ConstTensorView in, TensorView out, const Stream& stream);

/// y += x. x, y: f32 of equal count. On CUDA both may also be bf16, or both f16; the sum is in f32, rounded once.
void add_to_cpu(ConstTensorView x, TensorView y, const Stream& stream);
void add_to_cuda(ConstTensorView x, TensorView y, const Stream& stream);

/// x *= factor. x: f32, on CUDA also bf16 or f16.
void scale_cpu(TensorView x, float factor, const Stream& stream);
void scale_cuda(TensorView x, float factor, const Stream& stream);

/// x = cap * tanh(x / cap), of logits (Gemma 2). x: f32, on CUDA also bf16 or f16. The slope is in kernels/common/soft_cap.h.
void soft_cap_cpu(TensorView x, float cap, const Stream& stream);
void soft_cap_cuda(TensorView x, float cap, const Stream& stream);

inline void cast(ConstTensorView in, TensorView out, const Stream& stream) {
  LORA_DIST_DISPATCH_COUNTED(cast, OperatorWork{.bytes = size_in_bytes(in) + size_in_bytes(out)}, stream, in, out);
}
inline void add_to(ConstTensorView x, TensorView y, const Stream& stream) { LORA_DIST_DISPATCH(add_to, stream, x, y); }
inline void scale(TensorView x, float factor, const Stream& stream) { LORA_DIST_DISPATCH(scale, stream, x, factor); }
inline void soft_cap(TensorView x, float cap, const Stream& stream) { LORA_DIST_DISPATCH(soft_cap, stream, x, cap); }

}  // namespace lora_dist
