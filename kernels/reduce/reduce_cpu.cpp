// The CPU side of row_dots, inverse_roots, column_dots and column_sums.
#include <cmath>

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/reduce/reduce.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kRowsPerPiece = 16;
constexpr std::int64_t kElementsPerPiece = 1 << 13;
constexpr std::int64_t kColumnsPerPiece = 64;

LORA_DIST_MULTIVERSION float dot_of_row(const float* a, const float* b, std::int64_t n) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < n; ++j) {
    sum += a[j] * b[j];
  }
  return sum;
}

LORA_DIST_MULTIVERSION void add_products(const float* a, const float* b, float* dots, std::int64_t n) {
#pragma omp simd
  for (std::int64_t j = 0; j < n; ++j) {
    dots[j] += a[j] * b[j];
  }
}

LORA_DIST_MULTIVERSION void add_row(const float* a, float* sums, std::int64_t n) {
#pragma omp simd
  for (std::int64_t j = 0; j < n; ++j) {
    sums[j] += a[j];
  }
}

}  // namespace

void row_dots_cpu(ConstTensorView a, ConstTensorView b, bool add, TensorView dots, const Stream& stream) {
  require_row_dots(a, b, dots);
  const std::int64_t cols = a.cols();
  const float* x = a.as<float>();
  const float* y = b.as<float>();
  float* to = dots.as<float>();
  parallel_ranges(a.rows(), kRowsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      to[row] = (add ? to[row] : 0.0F) + dot_of_row(x + row * cols, y + row * cols, cols);
    }
  });
}

void inverse_roots_cpu(TensorView x, const Stream& stream) {
  require_inverse_roots(x);
  float* data = x.as<float>();
  parallel_ranges(x.count(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      data[i] = data[i] > 0.0F ? 1.0F / std::sqrt(data[i]) : 0.0F;
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
      add_products(x + row * cols + begin, y + row * cols + begin, to + begin, end - begin);
    }
  });
}

void column_sums_cpu(ConstTensorView a, TensorView sums, const Stream& stream) {
  require_column_sums(a, sums);
  const std::int64_t cols = a.cols();
  const float* x = a.as<float>();
  float* to = sums.as<float>();
  parallel_ranges(cols, kColumnsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j) {
      to[j] = 0.0F;
    }
    for (std::int64_t row = 0; row < a.rows(); ++row) {
      add_row(x + row * cols + begin, to + begin, end - begin);
    }
  });
}

}  // namespace lora_dist
