// Splits and joins the output of a fused QKV product. The number of key heads equals the number of query heads.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// How a row of 3 * heads * head_dim is laid out.
enum class FusedQkv : std::uint8_t {
  slices,    // all of q, then k, then v (GPT-2's c_attn)
  per_head,  // [heads, 3, head_dim] (GPT-NeoX's query_key_value)
};

struct QkvShape {
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  FusedQkv layout = FusedQkv::slices;

  std::int64_t width() const { return heads * head_dim; }  // of q, of k and of v
};

/// fused: f32 [tokens, 3 * heads * head_dim]; q, k, v: f32 [tokens, heads * head_dim], none of them over fused.
/// On CUDA all f32, all bf16 or all f16.
void split_qkv_cpu(ConstTensorView fused, const QkvShape& shape, TensorView q, TensorView k, TensorView v, const Stream& stream);
void split_qkv_cuda(ConstTensorView fused, const QkvShape& shape, TensorView q, TensorView k, TensorView v, const Stream& stream);

/// The inverse, for gradients. Writes every element of fused.
void join_qkv_cpu(ConstTensorView q, ConstTensorView k, ConstTensorView v, const QkvShape& shape, TensorView fused,
                  const Stream& stream);
void join_qkv_cuda(ConstTensorView q, ConstTensorView k, ConstTensorView v, const QkvShape& shape, TensorView fused,
                   const Stream& stream);

inline void split_qkv(ConstTensorView fused, const QkvShape& shape, TensorView q, TensorView k, TensorView v,
                      const Stream& stream) {
  LORA_DIST_DISPATCH(split_qkv, stream, fused, shape, q, k, v);
}
inline void join_qkv(ConstTensorView q, ConstTensorView k, ConstTensorView v, const QkvShape& shape, TensorView fused,
                     const Stream& stream) {
  LORA_DIST_DISPATCH(join_qkv, stream, q, k, v, shape, fused);
}

/// Throws KernelError unless the views have the shapes above and one dtype.
inline void check_fused_qkv(ConstTensorView fused, const QkvShape& shape, ConstTensorView q, ConstTensorView k,
                            ConstTensorView v) {
  require(shape.heads > 0 && shape.head_dim > 0, "fused qkv: heads and head_dim must be positive");
  require(fused.shape.rank == 2 && fused.cols() == 3 * shape.width(),
          "fused qkv: the fused view must be [tokens, 3 * heads * head_dim]");
  require((q.shape == Shape{fused.rows(), shape.width()}) && q.shape == k.shape && q.shape == v.shape,
          "fused qkv: q, k and v must be [tokens, heads * head_dim]");
  require(q.dtype == fused.dtype && k.dtype == fused.dtype && v.dtype == fused.dtype, "fused qkv: all views must have one dtype");
}

}  // namespace lora_dist
