// Importance against the formula in fp64.
#include "kernels/importance/importance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace lora_dist::importance_test {
namespace {

TEST(Importance, IsTheRunningMeanOfSensitivityAndItsUncertainty) {
  constexpr std::size_t kCount = 20000;  // more than one piece of a thread
  std::vector<float> p(kCount);
  std::vector<float> g(kCount);
  std::vector<float> s(kCount);
  std::vector<float> u(kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    const auto x = static_cast<float>(i);
    p[i] = std::sin(x);
    g[i] = std::cos(3.0F * x);
    s[i] = std::fabs(std::sin(5.0F * x));
    u[i] = std::fabs(std::cos(7.0F * x));
  }
  const std::vector<float> s_before = s;
  const std::vector<float> u_before = u;
  const Shape shape{static_cast<std::int64_t>(kCount)};
  importance(view(std::as_const(p).data(), shape), view(std::as_const(g).data(), shape), view(s.data(), shape),
             view(u.data(), shape), {0.85, 0.7}, Stream{});
  for (std::size_t i = 0; i < kCount; ++i) {
    const double now = std::fabs(static_cast<double>(p[i]) * static_cast<double>(g[i]));
    const double sensitivity = 0.85 * static_cast<double>(s_before[i]) + 0.15 * now;
    const double uncertainty = 0.7 * static_cast<double>(u_before[i]) + 0.3 * std::fabs(now - sensitivity);
    ASSERT_NEAR(static_cast<double>(s[i]), sensitivity, 3e-7) << i;  // three roundings of numbers up to 1
    ASSERT_NEAR(static_cast<double>(u[i]), uncertainty, 3e-7) << i;
  }
}

TEST(Importance, CountsMustBeEqual) {
  std::vector<float> x(4);
  const TensorView four = view(x.data(), {4});
  EXPECT_THROW(importance(four, four, four, view(x.data(), {3}), {}, Stream{}), KernelError);
}

}  // namespace
}  // namespace lora_dist::importance_test
