// LayerNorm against double precision and finite differences.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/layer_norm/layer_norm.h"
#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::layer_norm_test {
namespace {

using namespace testing_support;

constexpr float kEps = 1e-5F;

std::vector<double> reference(const std::vector<double>& x, const std::vector<double>& weight, const std::vector<double>& bias) {
  const std::size_t hidden = weight.size();
  const auto width = static_cast<double>(hidden);
  std::vector<double> y(x.size());
  for (std::size_t row = 0; row < x.size(); row += hidden) {
    double mean = 0.0;
    for (std::size_t i = 0; i < hidden; ++i) {
      mean += x[row + i] / width;
    }
    double variance = 0.0;
    for (std::size_t i = 0; i < hidden; ++i) {
      variance += (x[row + i] - mean) * (x[row + i] - mean) / width;
    }
    for (std::size_t i = 0; i < hidden; ++i) {
      y[row + i] = (x[row + i] - mean) / std::sqrt(variance + kEps) * weight[i] + bias[i];
    }
  }
  return y;
}

struct Forward {
  std::vector<float> y;
  std::vector<float> mean;
  std::vector<float> rstd;
};

Forward forward(const std::vector<float>& x, const std::vector<float>& weight, const std::vector<float>& bias,
                const Stream& stream) {
  const auto hidden = static_cast<std::int64_t>(weight.size());
  const std::int64_t tokens = static_cast<std::int64_t>(x.size()) / hidden;
  const auto n = static_cast<std::size_t>(tokens);
  Forward f = {.y = std::vector<float>(x.size()), .mean = std::vector<float>(n), .rstd = std::vector<float>(n)};
  layer_norm({.x = view(x.data(), {tokens, hidden}),
              .weight = view(weight.data(), {hidden}),
              .bias = view(bias.data(), {hidden}),
              .eps = kEps,
              .y = view(f.y.data(), {tokens, hidden}),
              .mean = view(f.mean.data(), {tokens}),
              .rstd = view(f.rstd.data(), {tokens})},
             stream);
  return f;
}

std::vector<float> backward(const std::vector<float>& dy, const std::vector<float>& x, const std::vector<float>& weight,
                            const Forward& f, std::vector<float> dx, const Stream& stream) {
  const auto hidden = static_cast<std::int64_t>(weight.size());
  const auto tokens = static_cast<std::int64_t>(f.rstd.size());
  layer_norm_backward({.dy = view(dy.data(), {tokens, hidden}),
                       .x = view(x.data(), {tokens, hidden}),
                       .weight = view(weight.data(), {hidden}),
                       .mean = view(f.mean.data(), {tokens}),
                       .rstd = view(f.rstd.data(), {tokens}),
                       .dx = view(dx.data(), {tokens, hidden})},
                      stream);
  return dx;
}

TEST(LayerNorm, EqualsDouble) {
  for (const std::int64_t hidden : {1, 7, 64, 513, 4096}) {
    const std::vector<float> x = random_floats(5 * hidden, 1, 3.0F);
    const std::vector<float> weight = random_floats(hidden, 2);
    const std::vector<float> bias = random_floats(hidden, 3);
    // Sums are taken in lanes: a few units for the longest row.
    EXPECT_LT(error_of(forward(x, weight, bias, Stream{}).y, reference(as_double(x), as_double(weight), as_double(bias))), 1e-6)
        << hidden;
  }
}

TEST(LayerNorm, ALargeMeanCostsTheVarianceNothing) {
  std::vector<float> x = random_floats(3 * 256, 1);
  for (float& value : x) {
    value += 1000.0F;
  }
  const std::vector<float> weight = random_floats(256, 2);
  const std::vector<float> bias(256);
  // The mean itself is rounded to 6e-5 of the spread; squares of the values would have lost it altogether.
  EXPECT_LT(error_of(forward(x, weight, bias, Stream{}).y, reference(as_double(x), as_double(weight), as_double(bias))), 3e-4);
}

TEST(LayerNorm, BackwardAddsFiniteDifferences) {
  for (const std::int64_t hidden : {2, 5, 24}) {
    const std::vector<float> x = random_floats(3 * hidden, 1);
    const std::vector<float> weight = random_floats(hidden, 2);
    const std::vector<float> bias = random_floats(hidden, 5);
    const std::vector<float> dy = random_floats(3 * hidden, 3);
    const std::vector<float> already = random_floats(3 * hidden, 4);
    const std::vector<float> dx = backward(dy, x, weight, forward(x, weight, bias, Stream{}), already, Stream{});
    const auto f = [&](const std::vector<double>& at) {
      return dot(reference(at, as_double(weight), as_double(bias)), as_double(dy));
    };
    std::vector<double> expected = finite_difference(f, as_double(x));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] += already[i];
    }
    EXPECT_LT(error_of(dx, expected), 2e-6) << hidden;
  }
}

TEST(LayerNorm, MayWriteOverItsInput) {
  const std::vector<float> weight = random_floats(48, 2);
  const std::vector<float> bias = random_floats(48, 3);
  std::vector<float> x = random_floats(4 * 48, 1);
  const std::vector<float> expected = forward(x, weight, bias, Stream{}).y;
  std::vector<float> mean(4);
  std::vector<float> rstd(4);
  layer_norm({.x = view(x.data(), {4, 48}),
              .weight = view(weight.data(), {48}),
              .bias = view(bias.data(), {48}),
              .eps = kEps,
              .y = view(x.data(), {4, 48}),
              .mean = view(mean.data(), {4}),
              .rstd = view(rstd.data(), {4})},
             Stream{});
  EXPECT_TRUE(same_bits(x, expected));
}

TEST(LayerNorm, SameBitsOnAnyThreads) {
  const std::vector<float> x = random_floats(201 * 100, 1);
  const std::vector<float> weight = random_floats(100, 2);
  const std::vector<float> bias = random_floats(100, 3);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    const Forward f = forward(x, weight, bias, stream);
    return join({f.y, f.mean, f.rstd, backward(x, x, weight, f, x, stream)});
  });
}

TEST(LayerNorm, NanGoesThroughAndShapesAreChecked) {
  std::vector<float> x(40, 1.0F);
  x[25] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> ones(20, 1.0F);
  const Forward f = forward(x, ones, ones, Stream{});
  EXPECT_FALSE(std::isnan(f.y[19]));
  EXPECT_TRUE(std::isnan(f.y[20]));
  std::vector<float> y(40);
  std::vector<float> mean(2);
  std::vector<float> rstd(2);
  const ConstTensorView rows = view(std::as_const(x).data(), {2, 20});
  const auto call = [&](std::int64_t weights, std::int64_t biases, Shape out, std::int64_t means, std::int64_t rstds) {
    layer_norm({.x = rows,
                .weight = view(ones.data(), {weights}),
                .bias = view(ones.data(), {biases}),
                .eps = kEps,
                .y = view(y.data(), out),
                .mean = view(mean.data(), {means}),
                .rstd = view(rstd.data(), {rstds})},
               Stream{});
  };
  EXPECT_NO_THROW(call(20, 20, {2, 20}, 2, 2));
  EXPECT_THROW(call(19, 20, {2, 20}, 2, 2), KernelError);
  EXPECT_THROW(call(20, 19, {2, 20}, 2, 2), KernelError);
  EXPECT_THROW(call(20, 20, {4, 10}, 2, 2), KernelError);
  EXPECT_THROW(call(20, 20, {2, 20}, 1, 2), KernelError);
  EXPECT_THROW(call(20, 20, {2, 20}, 2, 1), KernelError);
  const auto call_backward = [&](std::int64_t weights, std::int64_t means, std::int64_t rstds, Shape out) {
    layer_norm_backward({.dy = rows,
                         .x = rows,
                         .weight = view(ones.data(), {weights}),
                         .mean = view(std::as_const(mean).data(), {means}),
                         .rstd = view(std::as_const(rstd).data(), {rstds}),
                         .dx = view(y.data(), out)},
                        Stream{});
  };
  EXPECT_NO_THROW(call_backward(20, 2, 2, {2, 20}));
  EXPECT_THROW(call_backward(19, 2, 2, {2, 20}), KernelError);
  EXPECT_THROW(call_backward(20, 1, 2, {2, 20}), KernelError);
  EXPECT_THROW(call_backward(20, 2, 1, {2, 20}), KernelError);
  EXPECT_THROW(call_backward(20, 2, 2, {1, 20}), KernelError);
}

}  // namespace
}  // namespace lora_dist::layer_norm_test
