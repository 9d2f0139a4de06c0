// The CPU side of gather_rows and scatter_rows.
#include "kernels/elementwise/rows.h"

#include <cstring>

#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kRowsPerPiece = 64;

void check_index(ConstTensorView whole, ConstTensorView index) {
  const std::int32_t* row = index.as<std::int32_t>();
  for (std::int64_t i = 0; i < index.count(); ++i) {
    require(row[i] >= 0 && row[i] < whole.rows(), "rows: an index lies outside x");
  }
}

}  // namespace

void gather_rows_cpu(ConstTensorView x, ConstTensorView index, TensorView out, const Stream& stream) {
  check_rows(x, index, out);
  check_index(x, index);
  const std::int64_t width = x.cols();
  const std::size_t bytes = static_cast<std::size_t>(width) * sizeof(float);
  const float* from = x.as<float>();
  const std::int32_t* row = index.as<std::int32_t>();
  float* to = out.as<float>();
  parallel_ranges(index.count(), kRowsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::memcpy(to + i * width, from + row[i] * width, bytes);
    }
  });
}

void scatter_rows_cpu(ConstTensorView rows, ConstTensorView index, TensorView x, const Stream& stream) {
  check_rows(x, index, rows);
  check_index(x, index);
  const std::int64_t width = x.cols();
  const std::int64_t n = index.count();
  const std::size_t bytes = static_cast<std::size_t>(width) * sizeof(float);
  const float* from = rows.as<float>();
  const std::int32_t* row = index.as<std::int32_t>();
  float* to = x.as<float>();
  for (std::int64_t i = 1; i < n; ++i) {
    require(row[i - 1] < row[i], "scatter_rows: the indices must rise");
  }
  std::memset(to, 0, bytes * static_cast<std::size_t>(x.rows()));
  parallel_ranges(n, kRowsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::memcpy(to + row[i] * width, from + i * width, bytes);
    }
  });
}

}  // namespace lora_dist
