// One product that makes queries, keys and values at once, and its parts. All have as many key heads as query heads.
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

/// fused: f32 [tokens, 3 * heads * head_dim]; q, k, v: f32 [tokens, heads * head_dim], none of them over fused.
/// On CUDA all f32, all bf16 or all f16.
void split_qkv_cpu(ConstTensorView fused, std::int64_t heads, std::int64_t head_dim, FusedQkv layout, TensorView q, TensorView k,
                   TensorView v, const Stream& stream);
void split_qkv_cuda(ConstTensorView fused, std::int64_t heads, std::int64_t head_dim, FusedQkv layout, TensorView q, TensorView k,
                    TensorView v, const Stream& stream);

/// The way back, which gradients take. Writes every element of fused.
void join_qkv_cpu(ConstTensorView q, ConstTensorView k, ConstTensorView v, std::int64_t heads, std::int64_t head_dim,
                  FusedQkv layout, TensorView fused, const Stream& stream);
void join_qkv_cuda(ConstTensorView q, ConstTensorView k, ConstTensorView v, std::int64_t heads, std::int64_t head_dim,
                   FusedQkv layout, TensorView fused, const Stream& stream);

inline void split_qkv(ConstTensorView fused, std::int64_t heads, std::int64_t head_dim, FusedQkv layout, TensorView q,
                      TensorView k, TensorView v, const Stream& stream) {
  LORA_DIST_DISPATCH(split_qkv, stream, fused, heads, head_dim, layout, q, k, v);
}
inline void join_qkv(ConstTensorView q, ConstTensorView k, ConstTensorView v, std::int64_t heads, std::int64_t head_dim,
                     FusedQkv layout, TensorView fused, const Stream& stream) {
  LORA_DIST_DISPATCH(join_qkv, stream, q, k, v, heads, head_dim, layout, fused);
}

/// Throws KernelError unless the views have the shapes above and one dtype.
inline void check_fused_qkv(ConstTensorView fused, std::int64_t heads, std::int64_t head_dim, ConstTensorView q,
                            ConstTensorView k, ConstTensorView v) {
  require(heads > 0 && head_dim > 0, "fused qkv: heads and head_dim must be positive");
  require(fused.shape.rank == 2 && fused.cols() == 3 * heads * head_dim,
          "fused qkv: the fused view must be [tokens, 3 * heads * head_dim]");
  require((q.shape == Shape{fused.rows(), heads * head_dim}) && q.shape == k.shape && q.shape == v.shape,
          "fused qkv: q, k and v must be [tokens, heads * head_dim]");
  require(q.dtype == fused.dtype && k.dtype == fused.dtype && v.dtype == fused.dtype, "fused qkv: all views must have one dtype");
}

}  // namespace lora_dist
