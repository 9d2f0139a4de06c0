// Between float types: files hold f32, f16 or bf16; the CPU computes in f32.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// in, out: f32, f16 or bf16 [n] (any shapes of equal count), one of them f32. To a narrower type rounds to nearest even.
/// On CUDA neither need be f32: any to any.
void cast_cpu(ConstTensorView in, TensorView out, const Stream& stream);
void cast_cuda(ConstTensorView in, TensorView out, const Stream& stream);

inline void cast(ConstTensorView in, TensorView out, const Stream& stream) { LORA_DIST_DISPATCH(cast, stream, in, out); }

}  // namespace lora_dist
