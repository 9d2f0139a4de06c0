// SwiGLU against double precision and finite differences.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/activation/activation.h"
#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::swiglu_test {
namespace {

using namespace testing_support;

double silu(double x) { return x / (1.0 + std::exp(-x)); }

std::vector<double> reference(const std::vector<double>& gate, const std::vector<double>& up) {
  std::vector<double> out(gate.size());
  for (std::size_t i = 0; i < gate.size(); ++i) {
    out[i] = silu(gate[i]) * up[i];
  }
  return out;
}

std::vector<float> forward(const std::vector<float>& gate, const std::vector<float>& up, const Stream& stream) {
  std::vector<float> out(gate.size());
  const Shape shape = {1, static_cast<std::int64_t>(gate.size())};
  activate_gated(view(gate.data(), shape), view(up.data(), shape), Activation::silu, view(out.data(), shape), stream);
  return out;
}

struct Gradients {
  std::vector<float> gate;
  std::vector<float> up;
};

Gradients backward(const std::vector<float>& dout, const std::vector<float>& gate, const std::vector<float>& up,
                   const Stream& stream) {
  Gradients d = {.gate = std::vector<float>(gate.size()), .up = std::vector<float>(gate.size())};
  const Shape shape = {1, static_cast<std::int64_t>(gate.size())};
  activate_gated_backward(view(dout.data(), shape), view(gate.data(), shape), view(up.data(), shape), Activation::silu,
                          view(d.gate.data(), shape), view(d.up.data(), shape), stream);
  return d;
}

TEST(Swiglu, EqualsDouble) {
  const std::vector<float> gate = random_floats(10007, 1, 20.0F);
  const std::vector<float> up = random_floats(10007, 2);
  // A handful of roundings per element: exp (2 units), sum, division, product.
  EXPECT_LT(error_of(forward(gate, up, Stream{}), reference(as_double(gate), as_double(up))), 4e-7);
}

TEST(Swiglu, BackwardEqualsFiniteDifferences) {
  const std::vector<float> gate = random_floats(37, 1, 6.0F);
  const std::vector<float> up = random_floats(37, 2, 2.0F);
  const std::vector<float> dout = random_floats(37, 3);
  const Gradients d = backward(dout, gate, up, Stream{});
  const auto by_gate = [&](const std::vector<double>& x) { return dot(reference(x, as_double(up)), as_double(dout)); };
  const auto by_up = [&](const std::vector<double>& x) { return dot(reference(as_double(gate), x), as_double(dout)); };
  EXPECT_LT(error_of(d.gate, finite_difference(by_gate, as_double(gate))), 1e-6);
  EXPECT_LT(error_of(d.up, finite_difference(by_up, as_double(up))), 1e-6);
}

TEST(Swiglu, LargeGatesDoNotOverflow) {
  const std::vector<float> gate = {-1000.0F, -100.0F, 100.0F, 1000.0F};
  const std::vector<float> up(4, 1.0F);
  const std::vector<float> out = forward(gate, up, Stream{});
  EXPECT_EQ(out[0], 0.0F);
  EXPECT_NEAR(out[1], 0.0F, 1e-37F);
  EXPECT_EQ(out[2], 100.0F);
  EXPECT_EQ(out[3], 1000.0F);
  const Gradients d = backward(up, gate, up, Stream{});
  EXPECT_EQ(d.gate, (std::vector<float>{0.0F, d.gate[1], 1.0F, 1.0F}));
  EXPECT_NEAR(d.gate[1], 0.0F, 1e-36F);
}

TEST(Swiglu, MayWriteOverItsInputs) {
  const std::vector<float> gate = random_floats(1000, 1, 6.0F);
  const std::vector<float> up = random_floats(1000, 2);
  std::vector<float> in_place = gate;
  const Shape shape = {10, 100};
  activate_gated(view(in_place.data(), shape), view(up.data(), shape), Activation::silu, view(in_place.data(), shape), Stream{});
  EXPECT_TRUE(same_bits(in_place, forward(gate, up, Stream{})));

  const std::vector<float> dout = random_floats(1000, 3);
  const Gradients apart = backward(dout, gate, up, Stream{});
  std::vector<float> dgate = dout;
  std::vector<float> dup(1000);
  activate_gated_backward(view(dgate.data(), shape), view(gate.data(), shape), view(up.data(), shape), Activation::silu,
                          view(dgate.data(), shape), view(dup.data(), shape), Stream{});
  EXPECT_TRUE(same_bits(dgate, apart.gate));
  EXPECT_TRUE(same_bits(dup, apart.up));
}

TEST(Swiglu, SameBitsOnAnyThreads) {
  const std::vector<float> gate = random_floats(100003, 1, 6.0F);
  const std::vector<float> up = random_floats(100003, 2);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    const Gradients d = backward(up, gate, up, stream);
    return join({forward(gate, up, stream), d.gate, d.up});
  });
}

TEST(Swiglu, NanGoesThroughAndShapesAreChecked) {
  const std::vector<float> gate(20, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(std::isnan(forward(gate, gate, Stream{})[7]));
  std::vector<float> out(20);
  EXPECT_THROW(activate_gated(view(gate.data(), {2, 10}), view(gate.data(), {10, 2}), Activation::silu, view(out.data(), {2, 10}),
                              Stream{}),
               KernelError);
  EXPECT_THROW(activate_gated_backward(view(gate.data(), {2, 10}), view(gate.data(), {2, 10}), view(gate.data(), {2, 10}),
                                       Activation::silu, view(out.data(), {2, 10}), view(out.data(), {2, 5}), Stream{}),
               KernelError);
}

}  // namespace
}  // namespace lora_dist::swiglu_test
