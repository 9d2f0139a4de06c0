// The CPU side of importance.
#include "kernels/importance/importance.h"

#include <cmath>

#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kImportancesPerPiece = 1 << 14;

}  // namespace

void importance_cpu(ConstTensorView params, ConstTensorView grads, TensorView sensitivity, TensorView uncertainty,
                    const ImportanceDecay& decay, const Stream& stream) {
  require_importance(params, grads, sensitivity, uncertainty);
  const float* p = params.as<float>();
  const float* g = grads.as<float>();
  float* s = sensitivity.as<float>();
  float* u = uncertainty.as<float>();
  const auto beta1 = static_cast<float>(decay.beta1);
  const auto rest1 = static_cast<float>(1.0 - decay.beta1);
  const auto beta2 = static_cast<float>(decay.beta2);
  const auto rest2 = static_cast<float>(1.0 - decay.beta2);
  parallel_ranges(params.count(), kImportancesPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float now = std::fabs(p[i] * g[i]);
      s[i] = beta1 * s[i] + rest1 * now;
      u[i] = beta2 * u[i] + rest2 * std::fabs(now - s[i]);
    }
  });
}

}  // namespace lora_dist
