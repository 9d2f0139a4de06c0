// The CPU side of the norm in fixed point.
#include "kernels/fixed_point/fixed_point_norm.h"

#include <algorithm>
#include <vector>

#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kPieceOfNorm = 1 << 16;

/// Calls work(begin, end) for each piece, and returns the results.
template <class Result, class Work>
std::vector<Result> results_of_pieces(std::int64_t n, const Stream& stream, Work work) {
  std::vector<Result> results(static_cast<std::size_t>((n + kPieceOfNorm - 1) / kPieceOfNorm));
  parallel_ranges(n, kPieceOfNorm, stream, [&](std::int64_t begin, std::int64_t end) {
    results[static_cast<std::size_t>(begin / kPieceOfNorm)] = work(begin, end);
  });
  return results;
}

}  // namespace

std::int64_t fixed_point_largest_cpu(ConstTensorView sums, const Stream& stream) {
  const auto* from = sums.as<std::int64_t>();
  const auto of_pieces = results_of_pieces<std::int64_t>(sums.count(), stream, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t largest = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      largest = std::max(largest, from[i] < 0 ? -from[i] : from[i]);
    }
    return largest;
  });
  return of_pieces.empty() ? 0 : *std::ranges::max_element(of_pieces);
}

SquareSum fixed_point_squares_cpu(ConstTensorView sums, int shift, const Stream& stream) {
  constexpr std::int64_t kLow = (std::int64_t{1} << kSquareBits) - 1;
  const auto* from = sums.as<std::int64_t>();
  const std::int64_t half = shift == 0 ? 0 : std::int64_t{1} << (shift - 1);
  const auto of_pieces = results_of_pieces<SquareSum>(sums.count(), stream, [&](std::int64_t begin, std::int64_t end) {
    SquareSum sum;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t q = ((from[i] < 0 ? -from[i] : from[i]) + half) >> shift;
      sum.high += (q * q) >> kSquareBits;
      sum.low += (q * q) & kLow;
    }
    return sum;
  });
  SquareSum total;
  for (const SquareSum& piece : of_pieces) {
    total.high += piece.high;
    total.low += piece.low;
  }
  return total;
}

}  // namespace lora_dist
