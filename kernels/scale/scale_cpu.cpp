// The CPU side of scale_rows and scale_columns.
#include "kernels/common/parallel.h"
#include "kernels/scale/scale.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;

std::int64_t rows_per_piece(ConstTensorView x) { return 1 + kElementsPerPiece / (1 + x.cols()); }

}  // namespace

void scale_rows_cpu(ConstTensorView x, ConstTensorView factors, TensorView y, const Stream& stream) {
  require_scaled(x, x.rows(), factors, y);
  const std::int64_t cols = x.cols();
  const float* from = x.as<float>();
  const float* factor = factors.as<float>();
  float* to = y.as<float>();
  parallel_ranges(x.rows(), rows_per_piece(x), stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t i = row * cols; i < (row + 1) * cols; ++i) {
        to[i] = factor[row] * from[i];
      }
    }
  });
}

void scale_columns_cpu(ConstTensorView x, ConstTensorView factors, const ColumnsAdded& added, TensorView y,
                       const Stream& stream) {
  require_scaled(x, x.cols(), factors, y);
  require_added(added, y);
  const std::int64_t cols = x.cols();
  const float* from = x.as<float>();
  const float* factor = factors.as<float>();
  const float* onto = added.onto.data == nullptr ? nullptr : added.onto.as<float>();
  const float* bias = added.bias.data == nullptr ? nullptr : added.bias.as<float>();
  float* to = y.as<float>();
  parallel_ranges(x.rows(), rows_per_piece(x), stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t j = 0; j < cols; ++j) {
        const std::int64_t i = row * cols + j;
        const float sum = (onto == nullptr ? 0.0F : onto[i]) + (bias == nullptr ? 0.0F : bias[j]);
        to[i] = factor[j] * from[i] + sum;
      }
    }
  });
}

}  // namespace lora_dist
