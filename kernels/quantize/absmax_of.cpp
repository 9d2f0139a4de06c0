// One pass over the values, once per instruction set.
#include "kernels/quantize/absmax_of.h"

#include <cmath>
#include <limits>

#include "kernels/common/multiversion.h"

namespace lora_dist {

LORA_DIST_MULTIVERSION float absmax_of(const float* values, std::int64_t n) {
  float top = 0.0F;
  int bad = 0;
#pragma omp simd reduction(max : top) reduction(| : bad)
  for (std::int64_t i = 0; i < n; ++i) {
    const float magnitude = std::fabs(values[i]);
    top = magnitude > top ? magnitude : top;
    bad |= values[i] != values[i] ? 1 : 0;
  }
  return bad != 0 ? std::numeric_limits<float>::quiet_NaN() : top;
}

}  // namespace lora_dist
