// Columns of a matrix, written and taken out.
#include "kernels/elementwise/columns.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::columns_test {
namespace {

using namespace testing_support;

TEST(Columns, PutWritesThemAlone) {
  const std::vector<float> before = random_floats(3 * 7, 1);
  const std::vector<float> values = random_floats(3 * 2, 2);
  const std::vector<std::int32_t> index = {16, 11};
  std::vector<float> x = before;
  put_columns(view(values.data(), {3, 2}), view(index.data(), {2}), 10, view(x.data(), {3, 7}), {});
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t c = 0; c < 7; ++c) {
      EXPECT_EQ(x[i * 7 + c], c == 6 ? values[i * 2] : c == 1 ? values[i * 2 + 1] : before[i * 7 + c]);
    }
  }
}

TEST(Columns, TakeLeavesZeros) {
  const std::vector<float> before = random_floats(3 * 7, 1);
  const std::vector<std::int32_t> index = {6, 1};
  std::vector<float> x = before;
  std::vector<float> values(3 * 2);
  take_columns(view(x.data(), {3, 7}), view(index.data(), {2}), 0, view(values.data(), {3, 2}), {});
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(values[i * 2], before[i * 7 + 6]);
    EXPECT_EQ(values[i * 2 + 1], before[i * 7 + 1]);
    for (std::size_t c = 0; c < 7; ++c) {
      EXPECT_EQ(x[i * 7 + c], c == 6 || c == 1 ? 0.0F : before[i * 7 + c]);
    }
  }
}

TEST(Columns, RefusesWhatTheContractExcludes) {
  std::vector<float> x(21);
  std::vector<float> values(6);
  const auto call = [&](std::vector<std::int32_t> index, std::int64_t first, Shape shape) {
    put_columns(view(values.data(), shape), view(std::as_const(index).data(), {std::ssize(index)}), first, view(x.data(), {3, 7}),
                {});
  };
  EXPECT_NO_THROW(call({16, 11}, 10, {3, 2}));
  EXPECT_THROW(call({17, 11}, 10, {3, 2}), KernelError);
  EXPECT_THROW(call({16, 9}, 10, {3, 2}), KernelError);
  EXPECT_THROW(call({16}, 10, {3, 2}), KernelError);
  EXPECT_THROW(call({16, 11}, 10, {2, 3}), KernelError);
}

}  // namespace
}  // namespace lora_dist::columns_test
