// The CPU side of AdamW: the arithmetic of torch's single-tensor path, constants in double and elements in float.
#include "kernels/adamw/adamw.h"

#include <cmath>

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 14;

struct Constants {
  float decay;     // 1 - lr * weight_decay
  float weight_m;  // 1 - beta1
  float beta2;
  float weight_v;    // 1 - beta2
  float step_size;   // lr / bias1
  float root_bias2;  // sqrt(bias2)
  float eps;
};

Constants constants_of(const AdamWStep& step) {
  const auto t = static_cast<double>(step.step);
  const double bias1 = 1.0 - std::pow(step.beta1, t);
  const double bias2 = 1.0 - std::pow(step.beta2, t);
  return {.decay = static_cast<float>(1.0 - step.learning_rate * step.weight_decay),
          .weight_m = static_cast<float>(1.0 - step.beta1),
          .beta2 = static_cast<float>(step.beta2),
          .weight_v = static_cast<float>(1.0 - step.beta2),
          .step_size = static_cast<float>(step.learning_rate / bias1),
          .root_bias2 = static_cast<float>(std::sqrt(bias2)),
          .eps = static_cast<float>(step.eps)};
}

LORA_DIST_MULTIVERSION void update_range(float* params, const float* grads, float* m, float* v, const Constants& constants,
                                         std::int64_t n) {
  const Constants c = constants;
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = grads[i];
    m[i] += c.weight_m * (g - m[i]);
    v[i] = v[i] * c.beta2 + c.weight_v * g * g;
    const float denominator = std::sqrt(v[i]) / c.root_bias2 + c.eps;
    params[i] = params[i] * c.decay - c.step_size * m[i] / denominator;
  }
}

}  // namespace

void adamw_cpu(TensorView params, ConstTensorView grads, TensorView m, TensorView v, const AdamWStep& step,
               const Stream& stream) {
  const std::int64_t n = params.count();
  require(grads.count() == n && m.count() == n && v.count() == n, "adamw: params, grads, m and v must have equal counts");
  require(step.step >= 1, "adamw: the first step is 1");
  const Constants constants = constants_of(step);
  float* p = params.as<float>();
  const float* g = grads.as<float>();
  float* first = m.as<float>();
  float* second = v.as<float>();
  parallel_ranges(n, kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    update_range(p + begin, g + begin, first + begin, second + begin, constants, end - begin);
  });
}

}  // namespace lora_dist
