// The CPU side of inverse_row_norms and column_dots.
#include <cmath>

#include "kernels/common/parallel.h"
#include "kernels/reduce/reduce.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kRowsPerPiece = 16;
constexpr std::int64_t kColumnsPerPiece = 64;

}  // namespace

void inverse_row_norms_cpu(ConstTensorView x, TensorView inverse, const Stream& stream) {
  require_inverse_row_norms(x, inverse);
  const std::int64_t cols = x.cols();
  const float* from = x.as<float>();
  float* to = inverse.as<float>();
  parallel_ranges(x.rows(), kRowsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float sum = 0.0F;
      for (std::int64_t i = row * cols; i < (row + 1) * cols; ++i) {
        sum += from[i] * from[i];
      }
      to[row] = 1.0F / std::sqrt(sum);
    }
  });
}

void column_dots_cpu(ConstTensorView a, ConstTensorView b, TensorView dots, const Stream& stream) {
  require_column_dots(a, b, dots);
  const std::int64_t cols = a.cols();
  const float* x = a.as<float>();
  const float* y = b.as<float>();
  float* to = dots.as<float>();
  parallel_ranges(cols, kColumnsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j) {
      to[j] = 0.0F;
    }
    for (std::int64_t row = 0; row < a.rows(); ++row) {
      for (std::int64_t j = begin; j < end; ++j) {
        to[j] += x[row * cols + j] * y[row * cols + j];
      }
    }
  });
}

}  // namespace lora_dist
