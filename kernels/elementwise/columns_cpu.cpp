// The CPU side of put_columns and take_columns.
#include "kernels/elementwise/columns.h"

#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kRowsOfPiece = 16;

/// Calls work(element of x, element of the values) for each.
template <class Work>
void for_each_column(ConstTensorView x, ConstTensorView index, std::int64_t first, const Stream& stream, Work work) {
  const auto* column = index.as<std::int32_t>();
  const std::int64_t n = index.count();
  const std::int64_t width = x.cols();
  for (std::int64_t j = 0; j < n; ++j) {
    require(column[j] >= first && column[j] - first < width, "columns: an index lies outside x");
  }
  parallel_ranges(x.rows(), kRowsOfPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        work(i * width + column[j] - first, i * n + j);
      }
    }
  });
}

}  // namespace

void put_columns_cpu(ConstTensorView values, ConstTensorView index, std::int64_t first, TensorView x, const Stream& stream) {
  check_columns(x, index, values);
  const float* from = values.as<float>();
  float* to = x.as<float>();
  for_each_column(x, index, first, stream, [&](std::int64_t in_x, std::int64_t in_values) { to[in_x] = from[in_values]; });
}

void take_columns_cpu(TensorView x, ConstTensorView index, std::int64_t first, TensorView values, const Stream& stream) {
  check_columns(x, index, values);
  float* from = x.as<float>();
  float* to = values.as<float>();
  for_each_column(x, index, first, stream, [&](std::int64_t in_x, std::int64_t in_values) {
    to[in_values] = from[in_x];
    from[in_x] = 0.0F;
  });
}

}  // namespace lora_dist
