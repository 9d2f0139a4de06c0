// The norm of an update, against the product itself.
#include "src/adapter/lora_folder.h"

#include <gtest/gtest.h>

#include <cmath>

namespace lora_dist::inspect_adapter_test {
namespace {

TEST(InspectAdapter, NormOfAnUpdateIsThatOfTheProduct) {
  const std::int64_t r = 3;
  const std::int64_t in = 7;
  const std::int64_t out = 5;
  AdapterMatrix a{{r, in}, {}};
  AdapterMatrix b{{out, r}, {}};
  for (std::int64_t i = 0; i < r * in; ++i) {
    a.values.push_back(std::sin(static_cast<float>(i * i)));
  }
  for (std::int64_t i = 0; i < out * r; ++i) {
    b.values.push_back(std::cos(static_cast<float>(3 * i)));
  }
  double sum = 0.0;
  for (std::int64_t row = 0; row < out; ++row) {
    for (std::int64_t col = 0; col < in; ++col) {
      double product = 0.0;
      for (std::int64_t k = 0; k < r; ++k) {
        product += static_cast<double>(b.values[static_cast<std::size_t>(row * r + k)]) *
                   static_cast<double>(a.values[static_cast<std::size_t>(k * in + col)]);
      }
      sum += product * product;
    }
  }
  EXPECT_NEAR(norm_of_update(a, b, -2.5), 2.5 * std::sqrt(sum), 1e-12);
  EXPECT_EQ(norm_of_update(a, {{out, r}, std::vector<float>(static_cast<std::size_t>(out * r))}, 1.0), 0.0);
}

}  // namespace
}  // namespace lora_dist::inspect_adapter_test
