// A comma before every three digits.
#include "src/core/with_commas.h"

#include <gtest/gtest.h>

#include <limits>

namespace lora_dist::with_commas_test {
namespace {

TEST(WithCommas, StandBeforeEveryThreeDigits) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(23120), "23,120");
  EXPECT_EQ(with_commas(125250816), "125,250,816");
  EXPECT_EQ(with_commas(std::numeric_limits<std::int64_t>::max()), "9,223,372,036,854,775,807");
}

}  // namespace
}  // namespace lora_dist::with_commas_test
