// C = alpha * op(A) * op(B) + beta * C, the product that everything else here waits for.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

enum class Transpose : std::uint8_t { no, yes };

/// a: f32 [m, k], or [k, m] when transposed; b: f32 [k, n], or [n, k] when transposed; c: f32 [m, n], c may not alias a or b.
/// beta 0 writes c without reading it. The product is cut into tiles by shape alone, each computed by one thread with the whole
/// of k, so the bits of a result do not depend on the number of threads.
/// A linear layer y = x W^T is matmul(x, no, W, yes); its dx = dy W is matmul(dy, no, W, no); dW = dy^T x is matmul(dy, yes, x,
/// no). Throws KernelError when shapes disagree. CPU: oneDNN.
/// CUDA: a and b of one dtype (f32, bf16, f16), c of that dtype or f32; products are summed in f32, never in TF32. cuBLASLt, with
/// one algorithm per shape, dtypes and alignment of the addresses, and none that adds in an order of chance. Throws DeviceError.
void matmul_cpu(ConstTensorView a, Transpose op_a, ConstTensorView b, Transpose op_b, float alpha, float beta, TensorView c,
                const Stream& stream);
void matmul_cuda(ConstTensorView a, Transpose op_a, ConstTensorView b, Transpose op_b, float alpha, float beta, TensorView c,
                 const Stream& stream);

inline void matmul(ConstTensorView a, Transpose op_a, ConstTensorView b, Transpose op_b, float alpha, float beta, TensorView c,
                   const Stream& stream) {
  LORA_DIST_DISPATCH(matmul, stream, a, op_a, b, op_b, alpha, beta, c);
}

}  // namespace lora_dist
