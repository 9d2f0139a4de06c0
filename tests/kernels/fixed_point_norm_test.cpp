// The norm in fixed point: against a norm in double, and the same bits for any division into slices.
#include "kernels/fixed_point/fixed_point_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/random_floats.h"

namespace lora_dist::fixed_point_norm_test {
namespace {

std::vector<std::int64_t> some_sums(std::int64_t n, float range) {
  std::vector<std::int64_t> sums(static_cast<std::size_t>(n));
  const std::vector<float> values = testing_support::random_floats(n, 3, range);
  fixed_point_add(view(std::span<const float>(values)), 1.0F, view(std::span(sums)), kFixedPointLimit, Stream{});
  return sums;
}

struct Norm {
  std::int64_t high = 0;
  std::int64_t low = 0;
  double norm = 0.0;
};

/// Of slices of that many elements, as ranks compute it.
Norm norm_of_slices(const std::vector<std::int64_t>& sums, std::size_t each) {
  std::vector<std::span<const std::int64_t>> slices;
  for (std::size_t at = 0; at < sums.size(); at += each) {
    slices.push_back(std::span(sums).subspan(at, std::min(each, sums.size() - at)));
  }
  std::int64_t largest = 0;
  for (const auto& slice : slices) {
    largest = std::max(largest, fixed_point_largest(view(slice), Stream{}));
  }
  SquareSum total;
  for (const auto& slice : slices) {
    const SquareSum of_slice = fixed_point_squares(view(slice), square_shift(largest), Stream{});
    total.high += of_slice.high;
    total.low += of_slice.low;
  }
  return {total.high, total.low, norm_of(total, square_shift(largest))};
}

TEST(FixedPointNorm, IsThatOfTheValues) {
  for (const float range : {1e-7F, 1e-3F, 1.0F, 2e4F}) {
    const std::vector<std::int64_t> sums = some_sums(100'003, range);
    double squares = 0.0;
    for (const std::int64_t sum : sums) {
      squares += std::pow(static_cast<double>(sum) * 0x1p-44, 2.0);
    }
    EXPECT_NEAR(norm_of_slices(sums, sums.size()).norm, std::sqrt(squares), 1e-9 * std::sqrt(squares)) << range;
  }
}

TEST(FixedPointNorm, DoesNotDependOnSlices) {
  const std::vector<std::int64_t> sums = some_sums(200'001, 0.3F);
  const Norm whole = norm_of_slices(sums, sums.size());
  for (const std::size_t each : {std::size_t{1}, std::size_t{777}, std::size_t{100'000}}) {
    const Norm divided = norm_of_slices(sums, each);
    EXPECT_EQ(divided.high, whole.high);
    EXPECT_EQ(divided.low, whole.low);
    EXPECT_EQ(divided.norm, whole.norm);
  }
}

TEST(FixedPointNorm, TakesTheLargestSums) {
  const std::int64_t most = (std::int64_t{1} << 62) - 1;
  const std::vector<std::int64_t> sums = {most, -most, 0, 1};
  const double expected = std::sqrt(2.0) * static_cast<double>(most) * 0x1p-44;
  EXPECT_NEAR(norm_of_slices(sums, 2).norm, expected, 1e-8 * expected);
  EXPECT_EQ(norm_of_slices({}, 1).norm, 0.0);
  EXPECT_EQ(norm_of_slices({0, 0}, 1).norm, 0.0);
}

}  // namespace
}  // namespace lora_dist::fixed_point_norm_test
