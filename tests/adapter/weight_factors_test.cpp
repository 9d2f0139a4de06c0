// Factors of weights, small ones that are decomposed whole and large ones.
#include "src/adapter/weight_factors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <numeric>

namespace lora_dist::weight_factors_test {
namespace {

/// A smooth matrix whose singular values fall quickly, with a little noise.
std::vector<float> matrix(std::int64_t out, std::int64_t in) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < out; ++i) {
    for (std::int64_t j = 0; j < in; ++j) {
      const auto x = static_cast<double>(i) / static_cast<double>(out);
      const auto y = static_cast<double>(j) / static_cast<double>(in);
      const double noise = 0.01 * std::sin(static_cast<double>(i * 7919 + j * 104729 % 6007));
      values.push_back(static_cast<float>(std::cos(3.0 * x + 2.0 * y) + 0.5 * std::sin(9.0 * x * y) + noise));
    }
  }
  return values;
}

double dot(const std::vector<float>& x, std::size_t at_x, std::size_t step_x, const std::vector<float>& y, std::size_t at_y,
           std::size_t step_y, std::size_t n) {
  double sum = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    sum += static_cast<double>(x[at_x + i * step_x]) * static_cast<double>(y[at_y + i * step_y]);
  }
  return sum;
}

class Factors : public testing::TestWithParam<std::pair<std::int64_t, std::int64_t>> {};

/// The singular equations: W a_i = s_i u_i and W^T b_i = s_i v_i, with a_i = sqrt(s_i / scale) v_i.
TEST_P(Factors, ArePairsOfSingularVectors) {
  const auto [out, in] = GetParam();
  constexpr std::int64_t kRank = 4;
  constexpr double kScale = 2.0;
  const std::vector<float> weight = matrix(out, in);
  const WeightFactors of = principal_factors({weight, out, in}, kRank, kScale, Stream{});
  const auto n_in = static_cast<std::size_t>(in);
  const auto n_out = static_cast<std::size_t>(out);
  double previous = 1e30;
  for (std::size_t i = 0; i < kRank; ++i) {
    const double s = kScale * dot(of.a, i * n_in, 1, of.a, i * n_in, 1, n_in);  // |a|^2 = s / scale
    EXPECT_NEAR(kScale * dot(of.b, i, kRank, of.b, i, kRank, n_out), s, 1e-5 * s);
    EXPECT_LE(s, previous * 1.000001);
    previous = s;
    for (std::size_t row = 0; row < n_out; ++row) {
      EXPECT_NEAR(dot(weight, row * n_in, 1, of.a, i * n_in, 1, n_in), s * static_cast<double>(of.b[row * kRank + i]), 2e-4 * s);
    }
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_NEAR(dot(of.a, i * n_in, 1, of.a, j * n_in, 1, n_in), 0.0, 1e-5 * s);
    }
  }
}

/// Threads share the rows of products.
TEST_P(Factors, DoNotDependOnThreads) {
  const auto [out, in] = GetParam();
  const std::vector<float> weight = matrix(out, in);
  const WeightFactors one = principal_factors({weight, out, in}, 4, 2.0, Stream{.threads = 1});
  const WeightFactors two = principal_factors({weight, out, in}, 4, 2.0, Stream{.threads = 2});
  EXPECT_EQ(one.a, two.a);
  EXPECT_EQ(one.b, two.b);
}

/// Q is orthonormal, and Q R the weight as far as its first columns go.
TEST_P(Factors, OfQrAreOrthonormal) {
  const auto [out, in] = GetParam();
  constexpr std::size_t kRank = 4;
  const std::vector<float> weight = matrix(out, in);
  const WeightFactors of = orthonormal_factors({weight, out, in}, kRank);
  const auto n_in = static_cast<std::size_t>(in);
  for (std::size_t i = 0; i < kRank; ++i) {
    for (std::size_t j = 0; j < kRank; ++j) {
      EXPECT_NEAR(dot(of.b, i, kRank, of.b, j, kRank, static_cast<std::size_t>(out)), i == j ? 1.0 : 0.0, 1e-6);
    }
    for (std::size_t row = 0; row < static_cast<std::size_t>(out); ++row) {
      EXPECT_NEAR(dot(of.b, row * kRank, 1, of.a, i, n_in, kRank), static_cast<double>(weight[row * n_in + i]), 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Factors,
                         testing::Values(std::pair{40, 24}, std::pair{24, 40}, std::pair{400, 300}, std::pair{300, 400},
                                         std::pair{300, 300}),
                         [](const auto& info) {
                           return std::to_string(info.param.first) + "x" + std::to_string(info.param.second);
                         });

TEST(WholeFactors, OfTheWholeRankGiveTheWeight) {
  const std::vector<float> weight = matrix(6, 5);
  const WeightFactors of = principal_factors({weight, 6, 5}, 5, 0.5, Stream{});
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t j = 0; j < 5; ++j) {
      EXPECT_NEAR(0.5 * dot(of.b, i * 5, 1, of.a, j, 5, 5), static_cast<double>(weight[i * 5 + j]), 1e-6);
    }
  }
}

/// LoftQ of weights that quantization keeps exactly.
TEST(WholeFactors, OfNothingAreZero) {
  const std::vector<float> weight(300 * 290, 0.0F);
  const WeightFactors of = principal_factors({weight, 300, 290}, 3, 1.0, Stream{});
  EXPECT_EQ(std::accumulate(of.a.begin(), of.a.end(), 0.0F), 0.0F);
  EXPECT_EQ(std::accumulate(of.b.begin(), of.b.end(), 0.0F), 0.0F);
}

}  // namespace
}  // namespace lora_dist::weight_factors_test
