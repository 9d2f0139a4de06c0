// Copies between a flat buffer and a strided slice of it: how TP ranks shard adapter factors.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/strided_slice.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// part = the rows of the slice, end to end. whole: f32 [at least slice.end()]; part: f32 [slice.elements()].
void take_slice_cpu(ConstTensorView whole, const StridedSlice& slice, TensorView part, const Stream& stream);
void take_slice_cuda(ConstTensorView whole, const StridedSlice& slice, TensorView part, const Stream& stream);

/// whole[slice] += part. part: i64 [slice.elements()]; whole: i64 [at least slice.end()]. Rows do not overlap.
void add_slice_cpu(ConstTensorView part, const StridedSlice& slice, TensorView whole, const Stream& stream);
void add_slice_cuda(ConstTensorView part, const StridedSlice& slice, TensorView whole, const Stream& stream);

inline void take_slice(ConstTensorView whole, const StridedSlice& slice, TensorView part, const Stream& stream) {
  LORA_DIST_DISPATCH(take_slice, stream, whole, slice, part);
}
inline void add_slice(ConstTensorView part, const StridedSlice& slice, TensorView whole, const Stream& stream) {
  LORA_DIST_DISPATCH(add_slice, stream, part, slice, whole);
}

/// Throws KernelError unless the views have these sizes.
inline void check_slice(ConstTensorView whole, const StridedSlice& slice, ConstTensorView part) {
  require(
      slice.rows >= 0 && slice.width >= 0 && slice.start >= 0 && (slice.rows - slice.lead <= 1 || slice.stride >= slice.width),
      "strided slice: its rows must not overlap");
  require(slice.lead == 0 ||
              (slice.lead_start >= 0 && slice.lead <= slice.rows && slice.first(slice.lead - 1) + slice.width <= slice.start),
          "strided slice: its first rows must lie before the others");
  require(part.count() == slice.elements(), "strided slice: the part must have its elements");
  require(slice.end() <= whole.count(), "strided slice: it reaches beyond the whole");
}

}  // namespace lora_dist
