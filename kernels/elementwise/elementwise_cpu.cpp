// The CPU side of the element-wise sums.
#include "kernels/elementwise/elementwise.h"

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/common/soft_cap.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;

LORA_DIST_MULTIVERSION void add_range(const float* x, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] += x[i];
  }
}

LORA_DIST_MULTIVERSION void scale_range(float* x, float factor, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] *= factor;
  }
}

LORA_DIST_MULTIVERSION void cap_range(float* x, float cap, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = soft_capped(x[i], cap);
  }
}

}  // namespace

void add_to_cpu(ConstTensorView x, TensorView y, const Stream& stream) {
  require(x.count() == y.count(), "add_to: x and y must have equal counts");
  const float* from = x.as<float>();
  float* to = y.as<float>();
  parallel_ranges(x.count(), kElementsPerPiece, stream,
                  [&](std::int64_t begin, std::int64_t end) { add_range(from + begin, to + begin, end - begin); });
}

void scale_cpu(TensorView x, float factor, const Stream& stream) {
  float* data = x.as<float>();
  parallel_ranges(x.count(), kElementsPerPiece, stream,
                  [&](std::int64_t begin, std::int64_t end) { scale_range(data + begin, factor, end - begin); });
}

void soft_cap_cpu(TensorView x, float cap, const Stream& stream) {
  require(cap > 0.0F, "soft_cap: the cap must be above 0");
  float* data = x.as<float>();
  parallel_ranges(x.count(), kElementsPerPiece, stream,
                  [&](std::int64_t begin, std::int64_t end) { cap_range(data + begin, cap, end - begin); });
}

}  // namespace lora_dist
