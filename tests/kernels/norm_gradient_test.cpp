// The gradients of norms' weights against finite differences of the norms.
#include "kernels/norm_gradient/norm_gradient.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::norm_gradient_test {
namespace {

using namespace testing_support;

constexpr std::int64_t kTokens = 7;

struct Statistics {
  std::vector<float> mean;
  std::vector<float> rstd;
};

/// LayerNorm's, or RMSNorm's with means of 0.
Statistics statistics_of(const std::vector<float>& x, bool centred) {
  const std::size_t width = x.size() / kTokens;
  Statistics made{std::vector<float>(kTokens), std::vector<float>(kTokens)};
  for (std::size_t row = 0; row < kTokens; ++row) {
    double mean = 0.0;
    double square = 0.0;
    for (std::size_t j = 0; j < width; ++j) {
      mean += centred ? static_cast<double>(x[row * width + j]) / static_cast<double>(width) : 0.0;
    }
    for (std::size_t j = 0; j < width; ++j) {
      square += std::pow(static_cast<double>(x[row * width + j]) - mean, 2) / static_cast<double>(width);
    }
    made.mean[row] = static_cast<float>(mean);
    made.rstd[row] = static_cast<float>(1.0 / std::sqrt(square + 1e-5));
  }
  return made;
}

/// The sum of dy * (n * weight + bias).
double weighted_output(const std::vector<float>& x, const Statistics& of, const std::vector<double>& dy,
                       const std::vector<double>& weight, const std::vector<double>& bias) {
  const std::size_t width = weight.size();
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t row = i / width;
    const double normed = (static_cast<double>(x[i]) - static_cast<double>(of.mean[row])) * static_cast<double>(of.rstd[row]);
    sum += dy[i] * (normed * weight[i % width] + bias[i % width]);
  }
  return sum;
}

std::vector<double> added_to(const std::vector<float>& already, std::vector<double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] += static_cast<double>(already[i]);
  }
  return values;
}

TEST(NormGradient, AddsFiniteDifferences) {
  for (const bool centred : {true, false}) {
    for (const std::int64_t width : {1, 5, 130}) {
      const std::vector<float> x = random_floats(kTokens * width, 1);
      const std::vector<float> dy = random_floats(kTokens * width, 2);
      const Statistics of = statistics_of(x, centred);
      const std::vector<float> already = random_floats(width, 5);
      std::vector<float> dweight = already;
      std::vector<float> dbias = already;
      norm_gradient({.dy = view(dy.data(), {kTokens, width}),
                     .x = view(x.data(), {kTokens, width}),
                     .mean = centred ? view(of.mean.data(), {kTokens}) : ConstTensorView(),
                     .rstd = view(of.rstd.data(), {kTokens}),
                     .dweight = view(std::span(dweight)),
                     .dbias = view(std::span(dbias))},
                    {});
      const std::vector<double> weight = as_double(random_floats(width, 3));
      const std::vector<double> bias = as_double(random_floats(width, 4));
      const auto of_weight = [&](const std::vector<double>& at) { return weighted_output(x, of, as_double(dy), at, bias); };
      const auto of_bias = [&](const std::vector<double>& at) { return weighted_output(x, of, as_double(dy), weight, at); };
      // sums of eight products in f32
      EXPECT_LT(error_of(dweight, added_to(already, finite_difference(of_weight, weight))), 1e-6) << width;
      EXPECT_LT(error_of(dbias, added_to(already, finite_difference(of_bias, bias))), 1e-6) << width;
    }
  }
}

TEST(NormGradient, SameBitsOnAnyThreads) {
  const std::vector<float> x = random_floats(300 * 257, 1);
  const std::vector<float> dy = random_floats(300 * 257, 2);
  const std::vector<float> rstd = random_floats(300, 3);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    std::vector<float> dweight(257);
    std::vector<float> dbias(257);
    norm_gradient({.dy = view(dy.data(), {300, 257}),
                   .x = view(x.data(), {300, 257}),
                   .mean = view(rstd.data(), {300}),
                   .rstd = view(rstd.data(), {300}),
                   .dweight = view(std::span(dweight)),
                   .dbias = view(std::span(dbias))},
                  stream);
    return join({dweight, dbias});
  });
}

TEST(NormGradient, RefusesShapesThatDisagree) {
  std::vector<float> x(6);
  const TensorView rows = view(x.data(), {2, 3});
  const TensorView three = view(x.data(), {3});
  const TensorView two = view(x.data(), {2});
  EXPECT_THROW(
      norm_gradient({.dy = rows, .x = view(x.data(), {3, 2}), .mean = {}, .rstd = two, .dweight = three, .dbias = {}}, {}),
      KernelError);
  EXPECT_THROW(norm_gradient({.dy = rows, .x = rows, .mean = {}, .rstd = three, .dweight = three, .dbias = {}}, {}), KernelError);
  EXPECT_THROW(norm_gradient({.dy = rows, .x = rows, .mean = three, .rstd = two, .dweight = three, .dbias = {}}, {}),
               KernelError);
  EXPECT_THROW(norm_gradient({.dy = rows, .x = rows, .mean = {}, .rstd = two, .dweight = two, .dbias = {}}, {}), KernelError);
  EXPECT_THROW(norm_gradient({.dy = rows, .x = rows, .mean = {}, .rstd = two, .dweight = three, .dbias = two}, {}), KernelError);
}

}  // namespace
}  // namespace lora_dist::norm_gradient_test
