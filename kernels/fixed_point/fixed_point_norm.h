// The norm of a gradient in fixed point that ranks hold in slices: no bit of it depends on how it is divided.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"
#include "kernels/fixed_point/fixed_point.h"

namespace lora_dist {

/// The largest magnitude of the sums; 0 of none. sums: i64 [n], none of them the smallest i64.
std::int64_t fixed_point_largest_cpu(ConstTensorView sums, const Stream& stream);
std::int64_t fixed_point_largest_cuda(ConstTensorView sums, const Stream& stream);

/// A sum of squares in two integers, which ranks add in any order: high * 2^kSquareBits + low.
struct SquareSum {
  std::int64_t high = 0;
  std::int64_t low = 0;
};
inline constexpr int kSquareBits = 28;

/// Bits to drop so that magnitudes up to `largest` take kSquareBits: then 2^34 elements of all ranks can be added.
constexpr int square_shift(std::int64_t largest) {
  int shift = 0;
  while (largest >> shift >= (std::int64_t{1} << kSquareBits) - 1) {
    ++shift;
  }
  return shift;
}

/// The sum over i of q_i^2, q_i = |sums[i]| / 2^shift, rounded. shift: square_shift() of the largest magnitude of all ranks.
SquareSum fixed_point_squares_cpu(ConstTensorView sums, int shift, const Stream& stream);
SquareSum fixed_point_squares_cuda(ConstTensorView sums, int shift, const Stream& stream);

/// The norm, in gradients' units. Values below 2^-29 of the largest count as zero.
inline double norm_of(const SquareSum& squares, int shift) {
  const double sum = std::ldexp(static_cast<double>(squares.high), kSquareBits) + static_cast<double>(squares.low);
  return std::ldexp(std::sqrt(sum), shift - kFixedPointBits);
}

inline std::int64_t fixed_point_largest(ConstTensorView sums, const Stream& stream) {
  return LORA_DIST_DISPATCH(fixed_point_largest, stream, sums);
}
inline SquareSum fixed_point_squares(ConstTensorView sums, int shift, const Stream& stream) {
  return LORA_DIST_DISPATCH(fixed_point_squares, stream, sums, shift);
}

}  // namespace lora_dist
