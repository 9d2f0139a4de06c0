// The element-wise sums.
#include <gtest/gtest.h>

#include "kernels/elementwise/elementwise.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::elementwise_test {
namespace {

using namespace testing_support;

TEST(Elementwise, AddTo) {
  const std::vector<float> x = random_floats(70001, 1);
  const std::vector<float> y = random_floats(70001, 2);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    std::vector<float> sum = y;
    add_to(view(x.data(), {70001}), view(sum.data(), {70001}), stream);
    for (std::size_t i = 0; i < sum.size(); ++i) {
      EXPECT_EQ(sum[i], y[i] + x[i]);
    }
    return sum;
  });
}

TEST(Elementwise, Scale) {
  const std::vector<float> x = random_floats(70001, 1);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    std::vector<float> y = x;
    scale(view(y.data(), {70001}), 0.3F, stream);
    for (std::size_t i = 0; i < y.size(); ++i) {
      EXPECT_EQ(y[i], x[i] * 0.3F);
    }
    return y;
  });
}

TEST(Elementwise, RefusesWhatTheContractExcludes) {
  std::vector<float> x(12);
  std::vector<std::int32_t> ids(12);
  EXPECT_THROW(add_to(view(std::as_const(x).data(), {12}), view(x.data(), {11}), Stream{}), KernelError);
  EXPECT_THROW(scale(view(ids.data(), {12}), 2.0F, Stream{}), KernelError);
}

}  // namespace
}  // namespace lora_dist::elementwise_test
