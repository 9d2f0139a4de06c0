// The vectorised exponential against std::exp in double.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/common/exp.h"

namespace lora_dist::exp_test {
namespace {

TEST(FastExp, WithinTwoUnitsOfDouble) {
  double worst = 0.0;
  for (int i = -870000; i <= 887000; ++i) {
    const float x = static_cast<float>(i) * 1e-4F;
    const double expected = std::exp(static_cast<double>(x));
    const float unit =
        std::nextafter(static_cast<float>(expected), std::numeric_limits<float>::infinity()) - static_cast<float>(expected);
    worst = std::max(worst, std::fabs(fast_exp(x) - expected) / unit);
  }
  EXPECT_LT(worst, 2.0);
}

TEST(FastExp, SubnormalResultsAreRounded) {
  for (float x = -103.9F; x < -87.3F; x += 0.01F) {
    // Here a unit is 1.4e-45 whatever the value; two roundings (the product, then the scale) may cost one.
    EXPECT_NEAR(fast_exp(x), std::exp(static_cast<double>(x)), 2.9e-45) << x;
  }
}

TEST(FastExp, Ends) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(fast_exp(0.0F), 1.0F);
  EXPECT_EQ(fast_exp(-0.0F), 1.0F);
  EXPECT_EQ(fast_exp(-inf), 0.0F);
  EXPECT_EQ(fast_exp(-200.0F), 0.0F);
  EXPECT_EQ(fast_exp(-std::numeric_limits<float>::max()), 0.0F);
  EXPECT_EQ(fast_exp(inf), inf);
  EXPECT_EQ(fast_exp(89.0F), inf);
  EXPECT_TRUE(std::isfinite(fast_exp(88.72F)));
  EXPECT_TRUE(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace lora_dist::exp_test
