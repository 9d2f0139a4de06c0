// Calls RMSNorm or LayerNorm.
#include "src/transformer/norm.h"

#include "kernels/layer_norm/layer_norm.h"
#include "kernels/rms_norm/rms_norm.h"

namespace lora_dist {

void norm(const NormWeights& weights, float eps, ConstTensorView x, TensorView y, const NormStatistics& saved,
          const Stream& stream) {
  if (weights.bias.empty()) {
    rms_norm(x, view(weights.weight), eps, y, saved.rstd, stream);
  } else {
    layer_norm({.x = x,
                .weight = view(weights.weight),
                .bias = view(weights.bias),
                .eps = eps,
                .y = y,
                .mean = saved.mean,
                .rstd = saved.rstd},
               stream);
  }
}

void norm_backward(const NormWeights& weights, ConstTensorView dy, ConstTensorView x, const NormStatistics& saved, TensorView dx,
                   const Stream& stream) {
  if (weights.bias.empty()) {
    rms_norm_backward(dy, x, view(weights.weight), saved.rstd, dx, stream);
  } else {
    layer_norm_backward({.dy = dy, .x = x, .weight = view(weights.weight), .mean = saved.mean, .rstd = saved.rstd, .dx = dx},
                        stream);
  }
}

}  // namespace lora_dist
