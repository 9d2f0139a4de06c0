// GELU, plain and gated, against double precision and finite differences.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/geglu/geglu.h"
#include "kernels/gelu/gelu.h"
#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist {
namespace {

using namespace testing_support;

const double kPi = std::acos(-1.0);

double gelu_of(double x, Gelu form) {
  return form == Gelu::erf ? 0.5 * x * std::erfc(-x / std::sqrt(2.0))
                           : x / (1.0 + std::exp(-2.0 * std::sqrt(2.0 / kPi) * (x + 0.044715 * x * x * x)));
}

double slope_of(double x, Gelu form) {
  if (form == Gelu::erf) {
    return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-0.5 * x * x) / std::sqrt(2.0 * kPi);
  }
  const double share = 1.0 / (1.0 + std::exp(-2.0 * std::sqrt(2.0 / kPi) * (x + 0.044715 * x * x * x)));
  const double other = 1.0 / (1.0 + std::exp(2.0 * std::sqrt(2.0 / kPi) * (x + 0.044715 * x * x * x)));
  return share + x * share * other * 2.0 * std::sqrt(2.0 / kPi) * (1.0 + 3.0 * 0.044715 * x * x);
}

std::vector<double> reference(const std::vector<double>& x, Gelu form) {
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    y[i] = gelu_of(x[i], form);
  }
  return y;
}

std::vector<double> gated_reference(const std::vector<double>& gate, const std::vector<double>& up, Gelu form) {
  std::vector<double> out = reference(gate, form);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] *= up[i];
  }
  return out;
}

Shape row(const std::vector<float>& x) { return {1, static_cast<std::int64_t>(x.size())}; }

std::vector<float> forward(const std::vector<float>& x, Gelu form, const Stream& stream = {}) {
  std::vector<float> y(x.size());
  gelu(view(x.data(), row(x)), form, view(y.data(), row(x)), stream);
  return y;
}

std::vector<float> backward(const std::vector<float>& dy, const std::vector<float>& x, Gelu form, const Stream& stream = {}) {
  std::vector<float> dx(x.size());
  gelu_backward(view(dy.data(), row(x)), view(x.data(), row(x)), form, view(dx.data(), row(x)), stream);
  return dx;
}

std::vector<float> gated(const std::vector<float>& gate, const std::vector<float>& up, Gelu form, const Stream& stream = {}) {
  std::vector<float> out(gate.size());
  geglu(view(gate.data(), row(gate)), view(up.data(), row(gate)), form, view(out.data(), row(gate)), stream);
  return out;
}

struct Gradients {
  std::vector<float> gate;
  std::vector<float> up;
};

Gradients gated_backward(const std::vector<float>& dout, const std::vector<float>& gate, const std::vector<float>& up, Gelu form,
                         const Stream& stream = {}) {
  Gradients d = {.gate = std::vector<float>(gate.size()), .up = std::vector<float>(gate.size())};
  const Shape shape = row(gate);
  geglu_backward(view(dout.data(), shape), view(gate.data(), shape), view(up.data(), shape), form, view(d.gate.data(), shape),
                 view(d.up.data(), shape), stream);
  return d;
}

constexpr Gelu kForms[] = {Gelu::erf, Gelu::tanh};

TEST(Gelu, WithinUnitsOfDoubleOverTheRange) {
  std::vector<float> x;
  for (int i = -150000; i <= 150000; ++i) {
    x.push_back(static_cast<float>(i) * 1e-4F);
  }
  const std::vector<float> ones(x.size(), 1.0F);
  for (const Gelu form : kForms) {
    const std::vector<float> y = forward(x, form);
    const std::vector<float> slope = backward(ones, x, form);
    double worst = 0.0;
    double worst_slope = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = gelu_of(x[i], form);
      // A dozen roundings; those before the exponential (five) grow with the size of its argument, which reaches 112 here.
      const double exponent = x[i] < 0.0F ? -std::log(std::max(expected / x[i], 1e-300)) : 0.0;
      const double unit = std::max(std::fabs(expected) * 6e-8, 1.5e-45);
      worst = std::max(worst, std::fabs(y[i] - expected) / unit / (12.0 + 5.0 * exponent));
      worst_slope = std::max(worst_slope, std::fabs(slope[i] - slope_of(x[i], form)));
    }
    EXPECT_LT(worst, 1.0);
    EXPECT_LT(worst_slope, 5e-7);  // the slope is of the order of 1: a few roundings
  }
}

TEST(Gelu, BackwardEqualsFiniteDifferences) {
  const std::vector<float> x = random_floats(37, 1, 4.0F);
  const std::vector<float> up = random_floats(37, 2, 2.0F);
  const std::vector<float> dy = random_floats(37, 3);
  for (const Gelu form : kForms) {
    const auto plain = [&](const std::vector<double>& at) { return dot(reference(at, form), as_double(dy)); };
    EXPECT_LT(error_of(backward(dy, x, form), finite_difference(plain, as_double(x))), 1e-6);
    const Gradients d = gated_backward(dy, x, up, form);
    const auto by_gate = [&](const std::vector<double>& at) {
      return dot(gated_reference(at, as_double(up), form), as_double(dy));
    };
    const auto by_up = [&](const std::vector<double>& at) { return dot(gated_reference(as_double(x), at, form), as_double(dy)); };
    EXPECT_LT(error_of(d.gate, finite_difference(by_gate, as_double(x))), 1e-6);
    EXPECT_LT(error_of(d.up, finite_difference(by_up, as_double(up))), 1e-6);
  }
}

TEST(Geglu, EqualsDouble) {
  const std::vector<float> gate = random_floats(10007, 1, 12.0F);
  const std::vector<float> up = random_floats(10007, 2);
  for (const Gelu form : kForms) {
    EXPECT_LT(error_of(gated(gate, up, form), gated_reference(as_double(gate), as_double(up), form)), 4e-7);
  }
}

TEST(Gelu, LargeInputsDoNotOverflow) {
  const std::vector<float> x = {-3e38F, -1e10F, -100.0F, 0.0F, 100.0F, 1e10F, 3e38F};
  const std::vector<float> ones(x.size(), 1.0F);
  for (const Gelu form : kForms) {
    EXPECT_EQ(forward(x, form), (std::vector<float>{0.0F, 0.0F, 0.0F, 0.0F, 100.0F, 1e10F, 3e38F}));
    EXPECT_EQ(backward(ones, x, form), (std::vector<float>{0.0F, 0.0F, 0.0F, 0.5F, 1.0F, 1.0F, 1.0F}));
  }
}

TEST(Gelu, MayWriteOverTheirInputs) {
  const std::vector<float> x = random_floats(1000, 1, 6.0F);
  const std::vector<float> up = random_floats(1000, 2);
  const std::vector<float> dy = random_floats(1000, 3);
  for (const Gelu form : kForms) {
    std::vector<float> y = x;
    gelu(view(y.data(), row(y)), form, view(y.data(), row(y)), Stream{});
    EXPECT_TRUE(same_bits(y, forward(x, form)));
    std::vector<float> dx = dy;
    gelu_backward(view(dx.data(), row(x)), view(x.data(), row(x)), form, view(dx.data(), row(x)), Stream{});
    EXPECT_TRUE(same_bits(dx, backward(dy, x, form)));
    std::vector<float> out = x;
    geglu(view(out.data(), row(x)), view(up.data(), row(x)), form, view(out.data(), row(x)), Stream{});
    EXPECT_TRUE(same_bits(out, gated(x, up, form)));
    std::vector<float> dgate = dy;
    std::vector<float> dup(x.size());
    geglu_backward(view(dgate.data(), row(x)), view(x.data(), row(x)), view(up.data(), row(x)), form, view(dgate.data(), row(x)),
                   view(dup.data(), row(x)), Stream{});
    const Gradients apart = gated_backward(dy, x, up, form);
    EXPECT_TRUE(same_bits(join({dgate, dup}), join({apart.gate, apart.up})));
  }
}

TEST(Gelu, SameBitsOnAnyThreads) {
  const std::vector<float> x = random_floats(100003, 1, 6.0F);
  const std::vector<float> up = random_floats(100003, 2);
  for (const Gelu form : kForms) {
    expect_same_bits_on_any_threads([&](const Stream& stream) {
      const Gradients d = gated_backward(up, x, up, form, stream);
      return join({forward(x, form, stream), backward(up, x, form, stream), gated(x, up, form, stream), d.gate, d.up});
    });
  }
}

TEST(Gelu, NanGoesThroughAndShapesAreChecked) {
  const std::vector<float> x(20, std::numeric_limits<float>::quiet_NaN());
  std::vector<float> y(20);
  for (const Gelu form : kForms) {
    EXPECT_TRUE(std::isnan(forward(x, form)[7]));
    EXPECT_TRUE(std::isnan(backward(x, x, form)[7]));
    EXPECT_TRUE(std::isnan(gated(x, x, form)[7]));
  }
  const ConstTensorView in = view(x.data(), {2, 10});
  const ConstTensorView other = view(x.data(), {10, 2});
  EXPECT_THROW(gelu(other, Gelu::erf, view(y.data(), {2, 10}), Stream{}), KernelError);
  EXPECT_THROW(gelu_backward(in, other, Gelu::erf, view(y.data(), {2, 10}), Stream{}), KernelError);
  EXPECT_THROW(gelu_backward(in, in, Gelu::erf, view(y.data(), {2, 5}), Stream{}), KernelError);
  EXPECT_THROW(geglu(in, other, Gelu::tanh, view(y.data(), {2, 10}), Stream{}), KernelError);
  EXPECT_THROW(geglu_backward(in, in, in, Gelu::tanh, view(y.data(), {2, 10}), view(y.data(), {2, 5}), Stream{}), KernelError);
}

}  // namespace
}  // namespace lora_dist
