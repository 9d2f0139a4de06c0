// The norms of a block and of the head: RMSNorm or LayerNorm, whichever the weights are for.
#pragma once

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/base/frozen_base.h"

namespace lora_dist {

/// What a norm saves of each row for its backward: f32 [rows].
struct NormStatistics {
  TensorView mean;  // not written by RMSNorm
  TensorView rstd;
};

/// y = norm(x); y may be x. x, y: f32 or the compute dtype [rows, width].
void norm(const NormWeights& weights, float eps, ConstTensorView x, TensorView y, const NormStatistics& saved,
          const Stream& stream);
/// Adds the gradient that reaches x to dx.
void norm_backward(const NormWeights& weights, ConstTensorView dy, ConstTensorView x, const NormStatistics& saved, TensorView dx,
                   const Stream& stream);

}  // namespace lora_dist
