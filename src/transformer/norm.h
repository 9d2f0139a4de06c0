// The norms of a block and of the head: RMSNorm or LayerNorm, depending on the weights.
#pragma once

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/base/frozen_base.h"

namespace lora_dist {

/// A norm's saved values per row for its backward: f32 [rows].
struct NormStatistics {
  TensorView mean;  // not written by RMSNorm
  TensorView rstd;
};

/// y = norm(x); y may be x. x, y: f32 or the compute dtype [rows, width].
void norm(const NormWeights& weights, float eps, ConstTensorView x, TensorView y, const NormStatistics& saved,
          const Stream& stream);
/// Adds the gradient of x to dx.
void norm_backward(const NormWeights& weights, ConstTensorView dy, ConstTensorView x, const NormStatistics& saved, TensorView dx,
                   const Stream& stream);

}  // namespace lora_dist
