// Splits and joins the output of one product for several projections: q, k and v, or gate and up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

inline constexpr std::size_t kMostFusedParts = 3;

/// The parts in order; null after the last one. Each [tokens, width], of any widths.
template <class View>
using FusedParts = std::array<View, kMostFusedParts>;

/// A row of fused holds `groups` groups one after the other, and each group a span of every part: one group is all of q, then k,
/// then v (GPT-2's c_attn, Phi-3's qkv_proj); as many groups as heads is [heads, 3, head_dim] (GPT-NeoX's query_key_value).
/// fused: f32 [tokens, sum of the parts' widths]; parts: f32, none of them over fused. On CUDA all f32, all bf16 or all f16.
void split_parts_cpu(ConstTensorView fused, std::int64_t groups, const FusedParts<TensorView>& parts, const Stream& stream);
void split_parts_cuda(ConstTensorView fused, std::int64_t groups, const FusedParts<TensorView>& parts, const Stream& stream);

/// The inverse, for gradients. Writes every element of fused.
void join_parts_cpu(const FusedParts<ConstTensorView>& parts, std::int64_t groups, TensorView fused, const Stream& stream);
void join_parts_cuda(const FusedParts<ConstTensorView>& parts, std::int64_t groups, TensorView fused, const Stream& stream);

inline void split_parts(ConstTensorView fused, std::int64_t groups, const FusedParts<TensorView>& parts, const Stream& stream) {
  LORA_DIST_DISPATCH(split_parts, stream, fused, groups, parts);
}
inline void join_parts(const FusedParts<ConstTensorView>& parts, std::int64_t groups, TensorView fused, const Stream& stream) {
  LORA_DIST_DISPATCH(join_parts, stream, parts, groups, fused);
}

/// A part's span within a group.
struct FusedSpan {
  std::int64_t begin = 0;  // of the group
  std::int64_t width = 0;  // 0: there is no such part
};

/// The spans of the parts. Throws KernelError unless the views have the shapes above and one dtype.
template <class View>
std::array<FusedSpan, kMostFusedParts> check_fused_parts(ConstTensorView fused, std::int64_t groups,
                                                         const FusedParts<View>& parts) {
  require(groups > 0, "fused parts: groups must be positive");
  std::array<FusedSpan, kMostFusedParts> spans;
  std::int64_t width = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].data == nullptr) {
      continue;
    }
    require(parts[i].shape.rank == 2 && parts[i].rows() == fused.rows() && parts[i].cols() % groups == 0,
            "fused parts: a part must be [tokens, groups * span]");
    require(parts[i].dtype == fused.dtype, "fused parts: all views must have one dtype");
    spans[i] = {width, parts[i].cols() / groups};
    width += spans[i].width;
  }
  require(fused.shape.rank == 2 && fused.cols() == groups * width,
          "fused parts: the fused view must be as wide as its parts together");
  return spans;
}

}  // namespace lora_dist
