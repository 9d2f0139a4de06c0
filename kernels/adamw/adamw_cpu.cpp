// The CPU side of AdamW.
#include "kernels/adamw/adamw.h"

#include <cmath>

#include "kernels/adamw/adamw_constants.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 14;

LORA_DIST_MULTIVERSION void update_range(float* params, const float* grads, float* m, float* v, const AdamWConstants& constants,
                                         std::int64_t n) {
  const AdamWConstants c = constants;
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
  const AdamWConstants constants = adamw_constants(step);
  float* p = params.as<float>();
  const float* g = grads.as<float>();
  float* first = m.as<float>();
  float* second = v.as<float>();
  parallel_ranges(n, kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    update_range(p + begin, g + begin, first + begin, second + begin, constants, end - begin);
  });
}

}  // namespace lora_dist
