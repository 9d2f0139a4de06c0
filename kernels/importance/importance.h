// The importance of parameters for the loss, as AdaLoRA measures it (Zhang et al. 2023, arXiv:2303.10512, equations 9 to 11).
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// The weights of the running means.
struct ImportanceDecay {
  double beta1 = 0.85;  // of sensitivity
  double beta2 = 0.85;  // of uncertainty
};

/// i = |p g|; sensitivity = beta1 sensitivity + (1 - beta1) i; uncertainty = beta2 uncertainty + (1 - beta2) |i - sensitivity|,
/// with the new sensitivity. All f32 [n], on CUDA too; one rounding per operation on both sides.
void importance_cpu(ConstTensorView params, ConstTensorView grads, TensorView sensitivity, TensorView uncertainty,
                    const ImportanceDecay& decay, const Stream& stream);
void importance_cuda(ConstTensorView params, ConstTensorView grads, TensorView sensitivity, TensorView uncertainty,
                     const ImportanceDecay& decay, const Stream& stream);

inline void importance(ConstTensorView params, ConstTensorView grads, TensorView sensitivity, TensorView uncertainty,
                       const ImportanceDecay& decay, const Stream& stream) {
  LORA_DIST_DISPATCH(importance, stream, params, grads, sensitivity, uncertainty, decay);
}

/// Throws KernelError unless the counts are equal.
inline void require_importance(ConstTensorView params, ConstTensorView grads, ConstTensorView sensitivity,
                               ConstTensorView uncertainty) {
  const std::int64_t n = params.count();
  require(grads.count() == n && sensitivity.count() == n && uncertainty.count() == n,
          "importance: params, grads, sensitivity and uncertainty must have equal counts");
}

}  // namespace lora_dist
