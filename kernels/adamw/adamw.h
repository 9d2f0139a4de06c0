// AdamW (Loshchilov and Hutter, 2019) on the flat buffer of all adapters, as torch.optim.AdamW computes it.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// In double, as torch holds them: 1 - 0.999 taken from a float would be off by 1.3e-5.
struct AdamWStep {
  std::int64_t step = 1;  // 1 at the first update: bias corrections are 1 - beta^step
  double learning_rate = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
};

/// p *= 1 - lr * weight_decay; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
/// p -= lr / bias1 * m / (sqrt(v) / sqrt(bias2) + eps). All f32 [n], on CUDA too.
void adamw_cpu(TensorView params, ConstTensorView grads, TensorView m, TensorView v, const AdamWStep& step, const Stream& stream);
void adamw_cuda(TensorView params, ConstTensorView grads, TensorView m, TensorView v, const AdamWStep& step,
                const Stream& stream);

inline void adamw(TensorView params, ConstTensorView grads, TensorView m, TensorView v, const AdamWStep& step,
                  const Stream& stream) {
  LORA_DIST_DISPATCH(adamw, stream, params, grads, m, v, step);
}

}  // namespace lora_dist
