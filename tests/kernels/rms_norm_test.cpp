// RMSNorm against double precision and finite differences.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/rms_norm/rms_norm.h"
#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::rms_norm_test {
namespace {

using namespace testing_support;

constexpr float kEps = 1e-5F;

std::vector<double> reference(const std::vector<double>& x, const std::vector<double>& weight) {
  const std::size_t hidden = weight.size();
  std::vector<double> y(x.size());
  for (std::size_t t = 0; t < x.size() / hidden; ++t) {
    double squares = 0.0;
    for (std::size_t i = 0; i < hidden; ++i) {
      squares += x[t * hidden + i] * x[t * hidden + i];
    }
    const double rstd = 1.0 / std::sqrt(squares / static_cast<double>(hidden) + kEps);
    for (std::size_t i = 0; i < hidden; ++i) {
      y[t * hidden + i] = x[t * hidden + i] * rstd * weight[i];
    }
  }
  return y;
}

struct Forward {
  std::vector<float> y;
  std::vector<float> rstd;
};

Forward forward(const std::vector<float>& x, const std::vector<float>& weight, const Stream& stream) {
  const auto hidden = static_cast<std::int64_t>(weight.size());
  const std::int64_t tokens = static_cast<std::int64_t>(x.size()) / hidden;
  Forward f = {.y = std::vector<float>(x.size()), .rstd = std::vector<float>(static_cast<std::size_t>(tokens))};
  rms_norm(view(x.data(), {tokens, hidden}), view(weight.data(), {hidden}), kEps, view(f.y.data(), {tokens, hidden}),
           view(f.rstd.data(), {tokens}), stream);
  return f;
}

std::vector<float> backward(const std::vector<float>& dy, const std::vector<float>& x, const std::vector<float>& weight,
                            const std::vector<float>& rstd, std::vector<float> dx, const Stream& stream) {
  const auto hidden = static_cast<std::int64_t>(weight.size());
  const auto tokens = static_cast<std::int64_t>(rstd.size());
  rms_norm_backward(view(dy.data(), {tokens, hidden}), view(x.data(), {tokens, hidden}), view(weight.data(), {hidden}),
                    view(rstd.data(), {tokens}), view(dx.data(), {tokens, hidden}), stream);
  return dx;
}

TEST(RmsNorm, EqualsDouble) {
  for (const std::int64_t hidden : {1, 7, 64, 513, 4096}) {
    const std::vector<float> x = random_floats(5 * hidden, 1, 3.0F);
    const std::vector<float> weight = random_floats(hidden, 2);
    // The sum of squares is taken in lanes: a few units for the longest row.
    EXPECT_LT(error_of(forward(x, weight, Stream{}).y, reference(as_double(x), as_double(weight))), 1e-6) << hidden;
  }
}

TEST(RmsNorm, BackwardAddsFiniteDifferences) {
  for (const std::int64_t hidden : {1, 5, 24}) {
    const std::vector<float> x = random_floats(3 * hidden, 1);
    const std::vector<float> weight = random_floats(hidden, 2);
    const std::vector<float> dy = random_floats(3 * hidden, 3);
    const std::vector<float> already = random_floats(3 * hidden, 4);
    const std::vector<float> dx = backward(dy, x, weight, forward(x, weight, Stream{}).rstd, already, Stream{});
    const auto f = [&](const std::vector<double>& at) { return dot(reference(at, as_double(weight)), as_double(dy)); };
    std::vector<double> expected = finite_difference(f, as_double(x));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] += already[i];
    }
    EXPECT_LT(error_of(dx, expected), 2e-6) << hidden;
  }
}

TEST(RmsNorm, MayWriteOverItsInput) {
  const std::vector<float> weight = random_floats(48, 2);
  std::vector<float> x = random_floats(4 * 48, 1);
  const std::vector<float> expected = forward(x, weight, Stream{}).y;
  std::vector<float> rstd(4);
  rms_norm(view(x.data(), {4, 48}), view(weight.data(), {48}), kEps, view(x.data(), {4, 48}), view(rstd.data(), {4}), Stream{});
  EXPECT_TRUE(same_bits(x, expected));
}

TEST(RmsNorm, SameBitsOnAnyThreads) {
  const std::vector<float> x = random_floats(201 * 100, 1);
  const std::vector<float> weight = random_floats(100, 2);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    const Forward f = forward(x, weight, stream);
    return join({f.y, f.rstd, backward(x, x, weight, f.rstd, x, stream)});
  });
}

TEST(RmsNorm, NanGoesThroughAndShapesAreChecked) {
  std::vector<float> x(40, 1.0F);
  x[25] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> weight(20, 1.0F);
  const Forward f = forward(x, weight, Stream{});
  EXPECT_FALSE(std::isnan(f.y[19]));
  EXPECT_TRUE(std::isnan(f.y[20]));
  std::vector<float> y(40);
  std::vector<float> rstd(2);
  const ConstTensorView rows = view(std::as_const(x).data(), {2, 20});
  EXPECT_THROW(rms_norm(rows, view(weight.data(), {19}), kEps, view(y.data(), {2, 20}), view(rstd.data(), {2}), Stream{}),
               KernelError);
  EXPECT_THROW(rms_norm(rows, view(weight.data(), {20}), kEps, view(y.data(), {4, 10}), view(rstd.data(), {2}), Stream{}),
               KernelError);
  EXPECT_THROW(rms_norm(rows, view(weight.data(), {20}), kEps, view(y.data(), {2, 20}), view(rstd.data(), {1}), Stream{}),
               KernelError);
  EXPECT_THROW(rms_norm_backward(rows, rows, view(weight.data(), {20}), view(std::as_const(rstd).data(), {2}),
                                 view(y.data(), {1, 20}), Stream{}),
               KernelError);
}

}  // namespace
}  // namespace lora_dist::rms_norm_test
