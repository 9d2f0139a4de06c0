// Loops over one row, once per instruction set.
#include "kernels/common/row_softmax.h"

#include <limits>

#include "kernels/common/exp.h"
#include "kernels/common/multiversion.h"

namespace lora_dist {

LORA_DIST_MULTIVERSION float row_max(const float* x, std::int64_t n) {
  float top = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : top)
  for (std::int64_t i = 0; i < n; ++i) {
    top = x[i] > top ? x[i] : top;
  }
  return top;
}

LORA_DIST_MULTIVERSION float sum_of_exp(const float* x, float top, std::int64_t n) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    sum += fast_exp(x[i] - top);
  }
  return sum;
}

}  // namespace lora_dist
