// The CPU side of 64-bit fixed point.
#include "kernels/fixed_point/fixed_point.h"

#include <atomic>
#include <cmath>
#include <vector>

#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kPiece = 4096;
constexpr double kUnitsPerOne = 0x1p44;
static_assert(kUnitsPerOne == static_cast<double>(std::int64_t{1} << kFixedPointBits));

std::int64_t add_range(const float* values, float factor, std::int64_t* sums, std::int64_t n, float limit) {
  std::int64_t refused = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double value = static_cast<double>(values[i]) * static_cast<double>(factor);
    if (std::fabs(value) < static_cast<double>(limit)) {  // false for NaN
      sums[i] += std::llrint(value * kUnitsPerOne);
    } else {
      ++refused;
    }
  }
  return refused;
}

// A sequential sum, so that the norm has the same bits on every processor.
double read_range(const std::int64_t* sums, float* values, std::int64_t n) {
  double squares = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    values[i] = static_cast<float>(sums[i]) * 0x1p-44F;  // the conversion rounds, the product is exact
    squares += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return squares;
}

}  // namespace

std::int64_t fixed_point_add_cpu(ConstTensorView values, float factor, TensorView sums, float limit, const Stream& stream) {
  require(values.count() == sums.count(), "fixed_point_add: values and sums must have equal counts");
  require(limit <= kFixedPointLimit, "fixed_point_add: limit must be at most kFixedPointLimit");
  const float* from = values.as<float>();
  std::int64_t* to = sums.as<std::int64_t>();
  std::atomic<std::int64_t> refused = 0;
  parallel_ranges(values.count(), kPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    refused += add_range(from + begin, factor, to + begin, end - begin, limit);
  });
  return refused;
}

double fixed_point_read_cpu(ConstTensorView sums, TensorView values, const Stream& stream) {
  require(values.count() == sums.count(), "fixed_point_read: values and sums must have equal counts");
  const std::int64_t* from = sums.as<std::int64_t>();
  float* to = values.as<float>();
  std::vector<double> squares(static_cast<std::size_t>((sums.count() + kPiece - 1) / kPiece));
  parallel_ranges(sums.count(), kPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    squares[static_cast<std::size_t>(begin / kPiece)] = read_range(from + begin, to + begin, end - begin);
  });
  double total = 0.0;
  for (const double piece : squares) {
    total += piece;
  }
  return total;
}

}  // namespace lora_dist
