// The rotary embedding against double precision, finite differences and its own inverse.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/rope/rope.h"
#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::rope_test {
namespace {

using namespace testing_support;

struct Case {
  std::int64_t heads;
  std::int64_t head_dim;
  std::int64_t rotary_dim;
  RopePairs pairs = RopePairs::halves;
};
const std::vector<Case> kCases = {{1, 2, 2},
                                  {3, 8, 8},
                                  {2, 64, 64},
                                  {4, 18, 18},
                                  {3, 80, 32},
                                  {2, 7, 2},
                                  {1, 2, 2, RopePairs::neighbours},
                                  {2, 64, 64, RopePairs::neighbours},
                                  {3, 80, 32, RopePairs::neighbours},
                                  {2, 7, 2, RopePairs::neighbours}};
const std::vector<std::int32_t> kPositions = {0, 5, 1, 30, 31};
constexpr std::int64_t kTableRows = 32;

std::vector<float> table_of(std::int64_t rotary_dim) {
  std::vector<float> table;
  for (std::int64_t position = 0; position < kTableRows; ++position) {
    for (const bool sine : {false, true}) {
      for (std::int64_t i = 0; i < rotary_dim / 2; ++i) {
        const double angle =
            static_cast<double>(position) * std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dim));
        table.push_back(static_cast<float>(sine ? std::sin(angle) : std::cos(angle)));
      }
    }
  }
  return table;
}

std::vector<float> run(const Case& c, std::vector<float> x, RopeDirection direction, const Stream& stream) {
  const auto tokens = static_cast<std::int64_t>(kPositions.size());
  const std::vector<float> table = table_of(c.rotary_dim);
  rope(view(x.data(), {tokens, c.heads * c.head_dim}), view(kPositions.data(), {tokens}),
       view(table.data(), {kTableRows, c.rotary_dim}), {c.head_dim, c.pairs}, direction, stream);
  return x;
}

std::vector<double> reference(const Case& c, const std::vector<double>& x) {
  const std::vector<float> table = table_of(c.rotary_dim);
  std::vector<double> y = x;
  const std::int64_t half = c.rotary_dim / 2;
  for (std::size_t t = 0; t < kPositions.size(); ++t) {
    for (std::int64_t h = 0; h < c.heads; ++h) {
      for (std::int64_t i = 0; i < half; ++i) {
        const bool halves = c.pairs == RopePairs::halves;
        const std::int64_t head = (static_cast<std::int64_t>(t) * c.heads + h) * c.head_dim;
        const auto low = static_cast<std::size_t>(head + (halves ? i : 2 * i));
        const auto high = low + static_cast<std::size_t>(halves ? half : 1);
        const double cosine = table[static_cast<std::size_t>(kPositions[t] * c.rotary_dim + i)];
        const double sine = table[static_cast<std::size_t>(kPositions[t] * c.rotary_dim + half + i)];
        y[low] = x[low] * cosine - x[high] * sine;
        y[high] = x[high] * cosine + x[low] * sine;
      }
    }
  }
  return y;
}

std::vector<float> input_of(const Case& c, std::uint32_t seed) {
  return random_floats(static_cast<std::int64_t>(kPositions.size()) * c.heads * c.head_dim, seed);
}

TEST(Rope, EqualsDouble) {
  for (const Case& c : kCases) {
    const std::vector<float> x = input_of(c, 1);
    EXPECT_LT(error_of(run(c, x, RopeDirection::forward, Stream{}), reference(c, as_double(x))), 2e-7);
  }
}

TEST(Rope, LeavesWhatIsNotRotated) {
  const Case c = {3, 80, 32};
  const std::vector<float> x = input_of(c, 1);
  const std::vector<float> y = run(c, x, RopeDirection::forward, Stream{});
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % 80 >= 32) {
      ASSERT_EQ(x[i], y[i]) << i;
    }
  }
}

TEST(Rope, BackwardEqualsFiniteDifferences) {
  for (const Case& c : kCases) {
    const std::vector<float> x = input_of(c, 1);
    const std::vector<float> dy = input_of(c, 2);
    const auto f = [&](const std::vector<double>& at) { return dot(reference(c, at), as_double(dy)); };
    EXPECT_LT(error_of(run(c, dy, RopeDirection::backward, Stream{}), finite_difference(f, as_double(x))), 1e-6);
  }
}

TEST(Rope, SameBitsOnAnyThreads) {
  const std::int64_t tokens = 200;
  const std::vector<float> table = table_of(8);
  const std::vector<std::int32_t> positions(static_cast<std::size_t>(tokens), 7);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    std::vector<float> x = random_floats(tokens * 24, 1);
    rope(view(x.data(), {tokens, 24}), view(positions.data(), {tokens}), view(table.data(), {kTableRows, 8}), {12},
         RopeDirection::forward, stream);
    return x;
  });
}

TEST(Rope, RefusesWhatTheContractExcludes) {
  std::vector<float> x(48);
  const std::vector<float> table = table_of(8);
  const auto call = [&](Shape shape, std::vector<std::int32_t> positions, Shape table_shape, std::int64_t head_dim = 8) {
    rope(view(x.data(), shape), view(std::as_const(positions).data(), {static_cast<std::int64_t>(positions.size())}),
         view(table.data(), table_shape), {head_dim}, RopeDirection::forward, Stream{});
  };
  EXPECT_NO_THROW(call({2, 24}, {0, 31}, {32, 8}));
  EXPECT_THROW(call({2, 24}, {0, 32}, {32, 8}), KernelError);
  EXPECT_THROW(call({2, 24}, {-1, 0}, {32, 8}), KernelError);
  EXPECT_THROW(call({2, 24}, {0}, {32, 8}), KernelError);
  EXPECT_THROW(call({2, 20}, {0, 0}, {32, 8}), KernelError);
  EXPECT_THROW(call({2, 24}, {0, 0}, {32, 3}), KernelError);
  EXPECT_NO_THROW(call({2, 24}, {0, 0}, {32, 6}));
  EXPECT_NO_THROW(call({2, 24}, {0, 0}, {32, 8}, 24));
  EXPECT_THROW(call({2, 24}, {0, 0}, {32, 8}, 6), KernelError);   // a table wider than a head
  EXPECT_THROW(call({2, 24}, {0, 0}, {32, 8}, 16), KernelError);  // no whole number of heads
}

}  // namespace
}  // namespace lora_dist::rope_test
