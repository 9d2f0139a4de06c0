// Ranks with different adapters, as pure functions.
#include "src/train/compare_replicas.h"

#include <gtest/gtest.h>

#include <vector>

namespace lora_dist::compare_replicas_test {
namespace {

TEST(Replicas, TheSmallerGroupIsNamedFirst) {
  EXPECT_EQ(difference_text(std::vector<std::uint64_t>{7, 7, 7}), "");
  EXPECT_EQ(difference_text(std::vector<std::uint64_t>{7, 7, 9, 7}), "rank 2 holds another adapter than ranks 0-1, 3");
  EXPECT_EQ(difference_text(std::vector<std::uint64_t>{7, 9}), "rank 1 holds another adapter than rank 0");
  EXPECT_EQ(difference_text(std::vector<std::uint64_t>{1, 2, 3, 3, 3, 2}),
            "ranks 1, 5 and rank 0 hold another adapter than ranks 2-4");
}

TEST(Replicas, ADigestSeesEveryBitAndPlace) {
  std::vector<float> values(1001, 0.5F);
  const std::uint64_t digest = quick_digest(values, 0);
  for (const std::size_t at : {0, 1, 500, 999, 1000}) {
    std::vector<float> other = values;
    other[at] = 0.50000006F;
    EXPECT_NE(quick_digest(other, 0), digest) << at;
  }
  EXPECT_NE(quick_digest(values, 1), digest);
  EXPECT_NE(quick_digest(std::span(values).first(1000), 0), digest);
  EXPECT_EQ(quick_digest(values, 0), digest);
}

}  // namespace
}  // namespace lora_dist::compare_replicas_test
