// The CPU side of norm_gradient: pieces of columns, token by token.
#include "kernels/norm_gradient/norm_gradient.h"

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kColumnsOfPiece = 64;

LORA_DIST_MULTIVERSION void add_normed_products(const float* dy, const float* x, float mean, float rstd, float* sums,
                                                std::int64_t n) {
#pragma omp simd
  for (std::int64_t j = 0; j < n; ++j) {
    sums[j] += dy[j] * ((x[j] - mean) * rstd);
  }
}

LORA_DIST_MULTIVERSION void add_values(const float* dy, float* sums, std::int64_t n) {
#pragma omp simd
  for (std::int64_t j = 0; j < n; ++j) {
    sums[j] += dy[j];
  }
}

}  // namespace

void norm_gradient_cpu(const NormGradientArguments& a, const Stream& stream) {
  check_norm_gradient(a);
  const std::int64_t cols = a.x.cols();
  const float* dy = a.dy.as<float>();
  const float* x = a.x.as<float>();
  const float* mean = a.mean.data == nullptr ? nullptr : a.mean.as<float>();
  const float* rstd = a.rstd.as<float>();
  float* dweight = a.dweight.as<float>();
  float* dbias = a.dbias.data == nullptr ? nullptr : a.dbias.as<float>();
  parallel_ranges(cols, kColumnsOfPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < a.x.rows(); ++row) {
      add_normed_products(dy + row * cols + begin, x + row * cols + begin, mean == nullptr ? 0.0F : mean[row], rstd[row],
                          dweight + begin, end - begin);
    }
    if (dbias != nullptr) {
      for (std::int64_t row = 0; row < a.x.rows(); ++row) {
        add_values(dy + row * cols + begin, dbias + begin, end - begin);
      }
    }
  });
}

}  // namespace lora_dist
