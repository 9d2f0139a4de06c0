// C = alpha * op(A) * op(B) + what is added to it, the product that everything else here waits for.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

enum class Transpose : std::uint8_t { no, yes };

/// What is added to a product on its way to c, in the same pass over c's memory.
struct Added {
  float beta = 0.0F;          // times `onto`; 0: that is not read
  ConstTensorView onto = {};  // [m, n] like c, and no part of it; null: what c holds
  ConstTensorView bias = {};  // [n] in c's dtype, onto each row; null: none
};

/// c = alpha * op_a(a) * op_b(b) + what is added.
struct MatmulArguments {
  ConstTensorView a;
  Transpose op_a = Transpose::no;
  ConstTensorView b;
  Transpose op_b = Transpose::no;
  float alpha = 1.0F;
  Added added = {};
  TensorView c;
};

/// a: f32 [m, k], or [k, m] when transposed; b: f32 [k, n], or [n, k] when transposed; c: f32 [m, n], c may not alias a or b.
/// beta 0 writes c without reading it. The product is cut into tiles by shape alone, each computed by one thread with the whole
/// of k, so the bits of a result do not depend on the number of threads.
/// A linear layer y = x W^T is matmul({.a = x, .b = W, .op_b = yes, .c = y}); its dx = dy W is matmul({.a = dy, .b = W, .c =
/// dx}); dW = dy^T x is matmul({.a = dy, .op_a = yes, .b = x, .c = dW}). Throws KernelError when shapes disagree. CPU: oneDNN.
/// CUDA: a and b of one dtype (f32, bf16, f16), c of that dtype or f32; products are summed in f32, never in TF32, and rounded
/// once, after what is added. (Where cuBLASLt does not add the bias, as for 16-bit rows of odd length, beta * onto + bias is
/// rounded on its own first.) cuBLASLt, with one algorithm per shape, dtypes and alignment of the addresses, and none that adds
/// in an order of chance. Throws DeviceError.
void matmul_cpu(const MatmulArguments& product, const Stream& stream);
void matmul_cuda(const MatmulArguments& product, const Stream& stream);

inline void matmul(const MatmulArguments& product, const Stream& stream) { LORA_DIST_DISPATCH(matmul, stream, product); }

/// Throws KernelError unless what is added has the shape and dtype of c.
inline void require_added(const Added& added, ConstTensorView c) {
  require(added.onto.data == nullptr || (added.onto.dtype == c.dtype && added.onto.shape == c.shape),
          "matmul: what a product is added to must have the shape and dtype of c");
  require(added.bias.data == nullptr || (added.bias.dtype == c.dtype && added.bias.count() == c.cols()),
          "matmul: the bias must have the columns and dtype of c");
}

}  // namespace lora_dist
