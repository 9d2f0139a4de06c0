// Compares activations, plain and gated, with double precision and finite differences.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/activation/activation.h"
#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::activation_test {
namespace {

using namespace testing_support;

const double kPi = std::acos(-1.0);

double logistic(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double value_of(double x, Activation act) {
  if (act == Activation::relu_squared) {
    return x > 0.0 ? x * x : 0.0;
  }
  if (act == Activation::relu) {
    return x > 0.0 ? x : 0.0;
  }
  if (act == Activation::silu) {
    return x * logistic(x);
  }
  return act == Activation::gelu_erf ? 0.5 * x * std::erfc(-x / std::sqrt(2.0))
                                     : x / (1.0 + std::exp(-2.0 * std::sqrt(2.0 / kPi) * (x + 0.044715 * x * x * x)));
}

double slope_of(double x, Activation act) {
  if (act == Activation::relu_squared) {
    return x > 0.0 ? 2.0 * x : 0.0;
  }
  if (act == Activation::relu) {
    return x > 0.0 ? 1.0 : 0.0;
  }
  if (act == Activation::silu) {
    return logistic(x) * (1.0 + x * logistic(-x));
  }
  if (act == Activation::gelu_erf) {
    return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-0.5 * x * x) / std::sqrt(2.0 * kPi);
  }
  const double share = 1.0 / (1.0 + std::exp(-2.0 * std::sqrt(2.0 / kPi) * (x + 0.044715 * x * x * x)));
  const double other = 1.0 / (1.0 + std::exp(2.0 * std::sqrt(2.0 / kPi) * (x + 0.044715 * x * x * x)));
  return share + x * share * other * 2.0 * std::sqrt(2.0 / kPi) * (1.0 + 3.0 * 0.044715 * x * x);
}

std::vector<double> reference(const std::vector<double>& x, Activation act) {
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    y[i] = value_of(x[i], act);
  }
  return y;
}

std::vector<double> gated_reference(const std::vector<double>& gate, const std::vector<double>& up, Activation act) {
  std::vector<double> out = reference(gate, act);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] *= up[i];
  }
  return out;
}

Shape row(const std::vector<float>& x) { return {1, static_cast<std::int64_t>(x.size())}; }

std::vector<float> forward(const std::vector<float>& x, Activation act, const Stream& stream = {}) {
  std::vector<float> y(x.size());
  activate(view(x.data(), row(x)), act, view(y.data(), row(x)), stream);
  return y;
}

std::vector<float> backward(const std::vector<float>& dy, const std::vector<float>& x, Activation act,
                            const Stream& stream = {}) {
  std::vector<float> dx(x.size());
  activate_backward(view(dy.data(), row(x)), view(x.data(), row(x)), act, view(dx.data(), row(x)), stream);
  return dx;
}

std::vector<float> gated(const std::vector<float>& gate, const std::vector<float>& up, Activation act,
                         const Stream& stream = {}) {
  std::vector<float> out(gate.size());
  activate_gated(view(gate.data(), row(gate)), view(up.data(), row(gate)), act, view(out.data(), row(gate)), stream);
  return out;
}

struct Gradients {
  std::vector<float> gate;
  std::vector<float> up;
};

Gradients gated_backward(const std::vector<float>& dout, const std::vector<float>& gate, const std::vector<float>& up,
                         Activation act, const Stream& stream = {}) {
  Gradients d = {.gate = std::vector<float>(gate.size()), .up = std::vector<float>(gate.size())};
  const Shape shape = row(gate);
  activate_gated_backward(view(dout.data(), shape), view(gate.data(), shape), view(up.data(), shape), act,
                          view(d.gate.data(), shape), view(d.up.data(), shape), stream);
  return d;
}

constexpr Activation kActivations[] = {Activation::silu, Activation::gelu_tanh, Activation::gelu_erf, Activation::relu_squared,
                                       Activation::relu};
constexpr Activation kGelus[] = {Activation::gelu_tanh, Activation::gelu_erf};

TEST(Gelu, WithinUnitsOfDoubleOverTheRange) {
  std::vector<float> x;
  for (int i = -150000; i <= 150000; ++i) {
    x.push_back(static_cast<float>(i) * 1e-4F);
  }
  const std::vector<float> ones(x.size(), 1.0F);
  for (const Activation act : kGelus) {
    const std::vector<float> y = forward(x, act);
    const std::vector<float> slope = backward(ones, x, act);
    double worst = 0.0;
    double worst_slope = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = value_of(x[i], act);
      // A dozen roundings; those before the exponential (five) grow with the size of its argument, which reaches 112 here.
      const double exponent = x[i] < 0.0F ? -std::log(std::max(expected / x[i], 1e-300)) : 0.0;
      const double unit = std::max(std::fabs(expected) * 6e-8, 1.5e-45);
      worst = std::max(worst, std::fabs(y[i] - expected) / unit / (12.0 + 5.0 * exponent));
      worst_slope = std::max(worst_slope, std::fabs(slope[i] - slope_of(x[i], act)));
    }
    EXPECT_LT(worst, 1.0);
    EXPECT_LT(worst_slope, 5e-7);  // the slope is of the order of 1: a few roundings
  }
}

TEST(Activation, BackwardEqualsFiniteDifferences) {
  const std::vector<float> x = random_floats(37, 1, 4.0F);
  const std::vector<float> up = random_floats(37, 2, 2.0F);
  const std::vector<float> dy = random_floats(37, 3);
  for (const Activation act : kActivations) {
    const auto plain = [&](const std::vector<double>& at) { return dot(reference(at, act), as_double(dy)); };
    EXPECT_LT(error_of(backward(dy, x, act), finite_difference(plain, as_double(x))), 1e-6);
    const Gradients d = gated_backward(dy, x, up, act);
    const auto by_gate = [&](const std::vector<double>& at) {
      return dot(gated_reference(at, as_double(up), act), as_double(dy));
    };
    const auto by_up = [&](const std::vector<double>& at) { return dot(gated_reference(as_double(x), at, act), as_double(dy)); };
    EXPECT_LT(error_of(d.gate, finite_difference(by_gate, as_double(x))), 1e-6);
    EXPECT_LT(error_of(d.up, finite_difference(by_up, as_double(up))), 1e-6);
  }
}

TEST(Activation, GatedEqualsDouble) {
  const std::vector<float> gate = random_floats(10007, 1, 12.0F);
  const std::vector<float> up = random_floats(10007, 2);
  for (const Activation act : kActivations) {
    EXPECT_LT(error_of(gated(gate, up, act), gated_reference(as_double(gate), as_double(up), act)), 4e-7);
  }
}

TEST(Gelu, LargeInputsDoNotOverflow) {
  const std::vector<float> x = {-3e38F, -1e10F, -100.0F, 0.0F, 100.0F, 1e10F, 3e38F};
  const std::vector<float> ones(x.size(), 1.0F);
  for (const Activation act : kGelus) {
    EXPECT_EQ(forward(x, act), (std::vector<float>{0.0F, 0.0F, 0.0F, 0.0F, 100.0F, 1e10F, 3e38F}));
    EXPECT_EQ(backward(ones, x, act), (std::vector<float>{0.0F, 0.0F, 0.0F, 0.5F, 1.0F, 1.0F, 1.0F}));
  }
}

TEST(Activation, MayWriteOverTheirInputs) {
  const std::vector<float> x = random_floats(1000, 1, 6.0F);
  const std::vector<float> up = random_floats(1000, 2);
  const std::vector<float> dy = random_floats(1000, 3);
  for (const Activation act : kActivations) {
    std::vector<float> y = x;
    activate(view(y.data(), row(y)), act, view(y.data(), row(y)), Stream{});
    EXPECT_TRUE(same_bits(y, forward(x, act)));
    std::vector<float> dx = dy;
    activate_backward(view(dx.data(), row(x)), view(x.data(), row(x)), act, view(dx.data(), row(x)), Stream{});
    EXPECT_TRUE(same_bits(dx, backward(dy, x, act)));
    std::vector<float> out = x;
    activate_gated(view(out.data(), row(x)), view(up.data(), row(x)), act, view(out.data(), row(x)), Stream{});
    EXPECT_TRUE(same_bits(out, gated(x, up, act)));
    std::vector<float> dgate = dy;
    std::vector<float> dup(x.size());
    activate_gated_backward(view(dgate.data(), row(x)), view(x.data(), row(x)), view(up.data(), row(x)), act,
                            view(dgate.data(), row(x)), view(dup.data(), row(x)), Stream{});
    const Gradients apart = gated_backward(dy, x, up, act);
    EXPECT_TRUE(same_bits(join({dgate, dup}), join({apart.gate, apart.up})));
  }
}

TEST(Activation, SameBitsOnAnyThreads) {
  const std::vector<float> x = random_floats(100003, 1, 6.0F);
  const std::vector<float> up = random_floats(100003, 2);
  for (const Activation act : kActivations) {
    expect_same_bits_on_any_threads([&](const Stream& stream) {
      const Gradients d = gated_backward(up, x, up, act, stream);
      return join({forward(x, act, stream), backward(up, x, act, stream), gated(x, up, act, stream), d.gate, d.up});
    });
  }
}

TEST(Activation, NanGoesThroughAndShapesAreChecked) {
  const std::vector<float> x(20, std::numeric_limits<float>::quiet_NaN());
  std::vector<float> y(20);
  for (const Activation act : kActivations) {
    EXPECT_TRUE(std::isnan(forward(x, act)[7]));
    EXPECT_TRUE(std::isnan(backward(x, x, act)[7]));
    EXPECT_TRUE(std::isnan(gated(x, x, act)[7]));
  }
  const ConstTensorView in = view(x.data(), {2, 10});
  const ConstTensorView other = view(x.data(), {10, 2});
  EXPECT_THROW(activate(other, Activation::gelu_erf, view(y.data(), {2, 10}), Stream{}), KernelError);
  EXPECT_THROW(activate_backward(in, other, Activation::gelu_erf, view(y.data(), {2, 10}), Stream{}), KernelError);
  EXPECT_THROW(activate_backward(in, in, Activation::gelu_erf, view(y.data(), {2, 5}), Stream{}), KernelError);
  EXPECT_THROW(activate_gated(in, other, Activation::gelu_tanh, view(y.data(), {2, 10}), Stream{}), KernelError);
  EXPECT_THROW(
      activate_gated_backward(in, in, in, Activation::gelu_tanh, view(y.data(), {2, 10}), view(y.data(), {2, 5}), Stream{}),
      KernelError);
}

}  // namespace
}  // namespace lora_dist::activation_test
