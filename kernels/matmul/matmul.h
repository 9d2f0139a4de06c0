// C = alpha * op(A) * op(B) + addends: the product that takes most of the time.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

enum class Transpose : std::uint8_t { no, yes };

/// The addends of a product, added in the same pass over c's memory.
struct Added {
  float beta = 0.0F;          // times `onto`; 0: `onto` is not read
  ConstTensorView onto = {};  // [m, n] like c, not overlapping it; null: c itself
  ConstTensorView bias = {};  // [n] in c's dtype, added to each row; null: none
};

/// c = alpha * op_a(a) * op_b(b) + addends.
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
/// once, after the addends. (If cuBLASLt cannot add the bias, as for 16-bit rows of odd length, beta * onto + bias is rounded
/// separately first.) cuBLASLt uses one deterministic algorithm per shape, dtypes and address alignment. Throws DeviceError.
void matmul_cpu(const MatmulArguments& product, const Stream& stream);
void matmul_cuda(const MatmulArguments& product, const Stream& stream);

/// A multiplication and an addition for each element of c and of what it sums over.
inline OperatorWork work_of(const MatmulArguments& product) {
  const std::int64_t k = product.op_a == Transpose::yes ? product.a.rows() : product.a.cols();
  return {.flops = 2.0 * static_cast<double>(product.c.count()) * static_cast<double>(k)};
}
inline void matmul(const MatmulArguments& product, const Stream& stream) {
  LORA_DIST_DISPATCH_COUNTED(matmul, work_of(product), stream, product);
}

/// Throws KernelError unless the addends have the shape and dtype of c.
inline void require_added(const Added& added, ConstTensorView c) {
  require(added.onto.data == nullptr || (added.onto.dtype == c.dtype && added.onto.shape == c.shape),
          "matmul: what a product is added to must have the shape and dtype of c");
  require(added.bias.data == nullptr || (added.bias.dtype == c.dtype && added.bias.count() == c.cols()),
          "matmul: the bias must have the columns and dtype of c");
}

}  // namespace lora_dist
