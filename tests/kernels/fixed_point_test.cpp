// 64-bit fixed point: rounding, limits, and sums that do not depend on order.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/fixed_point/fixed_point.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::fixed_point_test {
namespace {

using namespace testing_support;

std::int64_t add(const std::vector<float>& values, std::vector<std::int64_t>& sums, const Stream& stream) {
  const Shape shape = {static_cast<std::int64_t>(values.size())};
  return fixed_point_add(view(values.data(), shape), 1.0F, view(sums.data(), shape), kFixedPointLimit, stream);
}

struct Read {
  std::vector<float> values;
  double squares;
};

Read read(const std::vector<std::int64_t>& sums, const Stream& stream) {
  const Shape shape = {static_cast<std::int64_t>(sums.size())};
  Read r = {.values = std::vector<float>(sums.size()), .squares = 0.0};
  r.squares = fixed_point_read(view(sums.data(), shape), view(r.values.data(), shape), stream);
  return r;
}

TEST(FixedPoint, RoundsToNearestEven) {
  const float unit = 0x1p-44F;
  const std::vector<float> values = {0.5F * unit,  1.5F * unit,  2.5F * unit, -0.5F * unit,
                                     -1.5F * unit, 0.51F * unit, 1.0F,        -3.25F};
  std::vector<std::int64_t> sums(values.size(), 100);
  EXPECT_EQ(add(values, sums, Stream{}), 0);
  const std::int64_t one = std::int64_t{1} << 44;
  EXPECT_EQ(sums, (std::vector<std::int64_t>{100, 102, 102, 100, 98, 101, 100 + one, 100 - 3 * one - one / 4}));
}

TEST(FixedPoint, RefusesWhatDoesNotFit) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const float below = std::nextafter(kFixedPointLimit, 0.0F);
  std::vector<std::int64_t> sums(8, 1);
  EXPECT_EQ(add({nan, inf, -inf, kFixedPointLimit, -kFixedPointLimit, below, -below, 1e30F}, sums, Stream{}), 6);
  const auto large = static_cast<std::int64_t>(static_cast<double>(below) * 0x1p44);
  EXPECT_EQ(sums, (std::vector<std::int64_t>{1, 1, 1, 1, 1, 1 + large, 1 - large, 1}));
}

TEST(FixedPoint, OrderDoesNotMatter) {
  std::vector<std::int64_t> forwards(5000);
  std::vector<std::int64_t> backwards(5000);
  for (std::uint32_t i = 0; i < 9; ++i) {
    add(random_floats(5000, i, 1e-3F), forwards, Stream{});
    add(random_floats(5000, 8 - i, 1e-3F), backwards, Stream{});
  }
  EXPECT_EQ(forwards, backwards);
}

TEST(FixedPoint, ReadsBackWithinHalfAUnit) {
  const std::vector<float> values = random_floats(10000, 1, 3.0F);
  std::vector<std::int64_t> sums(values.size());
  add(values, sums, Stream{});
  const Read r = read(sums, Stream{});
  double squares = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    // Values of this generator are multiples of 3 * 2^-23: far above a unit, so they come back as they went in.
    ASSERT_EQ(r.values[i], values[i]);
    squares += static_cast<double>(values[i]) * values[i];
  }
  EXPECT_NEAR(r.squares, squares, 1e-9);
}

TEST(FixedPoint, ReadRoundsOnce) {
  // 2^24 + 1 units lie between two floats and round to even; 2^53 + 2^29 + 1 would be rounded twice by way of a double.
  const std::int64_t tie = (std::int64_t{1} << 24) + 1;
  const std::int64_t twice = (std::int64_t{1} << 53) + (std::int64_t{1} << 29) + 1;
  const Read r = read({tie, twice, -twice}, Stream{});
  EXPECT_EQ(r.values[0], 0x1p-20F);
  EXPECT_EQ(r.values[1], std::nextafter(0x1p9F, 1e9F));
  EXPECT_EQ(r.values[2], -std::nextafter(0x1p9F, 1e9F));
}

TEST(FixedPoint, SameBitsOnAnyThreads) {
  const std::vector<float> values = random_floats(100001, 1, 0.1F);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    std::vector<std::int64_t> sums(values.size());
    add(values, sums, stream);
    Read r = read(sums, stream);
    std::vector<float> norm(2);  // the double's bits, in two floats
    std::memcpy(norm.data(), &r.squares, sizeof(double));
    return join({r.values, norm});
  });
}

TEST(FixedPoint, RefusesUnequalCounts) {
  std::vector<std::int64_t> sums(3);
  std::vector<float> values(4);
  EXPECT_THROW(fixed_point_add(view(std::as_const(values).data(), {4}), 1.0F, view(sums.data(), {3}), kFixedPointLimit, Stream{}),
               KernelError);
  EXPECT_THROW(fixed_point_read(view(std::as_const(sums).data(), {3}), view(values.data(), {4}), Stream{}), KernelError);
  EXPECT_THROW(
      fixed_point_add(view(std::as_const(values).data(), {3}), 1.0F, view(sums.data(), {3}), 2 * kFixedPointLimit, Stream{}),
      KernelError);
  EXPECT_THROW(fixed_point_add(view(std::as_const(sums).data(), {3}), 1.0F, view(sums.data(), {3}), kFixedPointLimit, Stream{}),
               KernelError);
}

/// A caller that adds several times gives a smaller limit.
TEST(FixedPoint, CountsWhatIsBeyondTheCallersLimit) {
  const std::vector<float> values = {1.0F, 9.9F, 10.0F, -11.0F};
  std::vector<std::int64_t> sums(values.size(), 0);
  EXPECT_EQ(fixed_point_add(view(values.data(), {4}), 1.0F, view(sums.data(), {4}), 10.0F, Stream{}), 2);
  EXPECT_EQ(sums[0], std::int64_t{1} << kFixedPointBits);
  EXPECT_EQ(sums[2], 0);
  EXPECT_EQ(sums[3], 0);
}

}  // namespace
}  // namespace lora_dist::fixed_point_test
