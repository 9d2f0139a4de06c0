// Rows and columns scaled, lengths of rows, sums along columns.
#include "kernels/scale/scale.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/reduce/reduce.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::scale_test {
namespace {

using namespace testing_support;

const std::vector<float> kX = {1, 2, 3, 4, 5, 6};  // 2 x 3

TEST(Scale, RowsAndColumnsByHand) {
  std::vector<float> y(6);
  const std::vector<float> two = {10, -1};
  scale_rows(view(kX.data(), {2, 3}), view(std::span(two)), view(y.data(), {2, 3}), {});
  EXPECT_EQ(y, (std::vector<float>{10, 20, 30, -4, -5, -6}));
  const std::vector<float> three = {1, 10, 100};
  scale_columns(view(kX.data(), {2, 3}), view(std::span(three)), {}, view(y.data(), {2, 3}), {});
  EXPECT_EQ(y, (std::vector<float>{1, 20, 300, 4, 50, 600}));
  const std::vector<float> bias = {7, 8, 9};
  scale_columns(view(kX.data(), {2, 3}), view(std::span(three)), {view(y.data(), {2, 3}), view(std::span(bias))},
                view(y.data(), {2, 3}), {});
  EXPECT_EQ(y, (std::vector<float>{9, 48, 609, 15, 108, 1209}));
}

TEST(Reduce, ByHand) {
  const std::vector<float> x = {3, 4, 0, 0, 0, 0};
  std::vector<float> rows = {9.0F, 9.0F};
  row_dots(view(x.data(), {2, 3}), view(x.data(), {2, 3}), false, view(std::span(rows)), {});
  EXPECT_EQ(rows, (std::vector<float>{25, 0}));
  row_dots(view(x.data(), {2, 3}), view(kX.data(), {2, 3}), true, view(std::span(rows)), {});
  EXPECT_EQ(rows[0], 25.0F + 3.0F * kX[0] + 4.0F * kX[1]);
  std::vector<float> roots = {25.0F, 0.0F, -1.0F};
  inverse_roots(view(std::span(roots)), {});
  EXPECT_EQ(roots, (std::vector<float>{1.0F / 5.0F, 0.0F, 0.0F}));
  std::vector<float> dots(3, 9.0F);
  column_dots(view(kX.data(), {2, 3}), view(x.data(), {2, 3}), view(std::span(dots)), {});
  EXPECT_EQ(dots, (std::vector<float>{3, 8, 0}));
  column_sums(view(kX.data(), {2, 3}), view(std::span(dots)), {});
  EXPECT_EQ(dots, (std::vector<float>{5, 7, 9}));
}

TEST(Scale, SameBitsOnAnyThreads) {
  const std::vector<float> x = random_floats(300 * 257, 1);
  const std::vector<float> rows = random_floats(300, 2);
  const std::vector<float> cols = random_floats(257, 3);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    std::vector<float> a(x.size());
    std::vector<float> b(x.size());
    std::vector<float> of_rows(300);
    std::vector<float> dots(257);
    scale_rows(view(x.data(), {300, 257}), view(std::span(rows)), view(a.data(), {300, 257}), stream);
    scale_columns(view(a.data(), {300, 257}), view(std::span(cols)), {}, view(b.data(), {300, 257}), stream);
    row_dots(view(x.data(), {300, 257}), view(a.data(), {300, 257}), false, view(std::span(of_rows)), stream);
    column_dots(view(a.data(), {300, 257}), view(b.data(), {300, 257}), view(std::span(dots)), stream);
    std::vector<float> sums(257);
    column_sums(view(a.data(), {300, 257}), view(std::span(sums)), stream);
    return join({a, b, of_rows, dots, sums});
  });
}

TEST(Scale, RefusesShapesThatDisagree) {
  std::vector<float> y(6);
  const std::vector<float> two = {1, 2};
  const ConstTensorView x = view(kX.data(), {2, 3});
  EXPECT_THROW(scale_columns(x, view(std::span(two)), {}, view(y.data(), {2, 3}), {}), KernelError);
  EXPECT_THROW(scale_rows(x, view(std::span(two)), view(y.data(), {3, 2}), {}), KernelError);
  EXPECT_THROW(scale_columns(x, view(kX.data(), {3}), {{}, view(std::span(two))}, view(y.data(), {2, 3}), {}), KernelError);
  EXPECT_THROW(row_dots(x, x, false, view(y.data(), {3}), {}), KernelError);
  EXPECT_THROW(column_dots(x, view(kX.data(), {3, 2}), view(y.data(), {3}), {}), KernelError);
  EXPECT_THROW(column_sums(x, view(y.data(), {2}), {}), KernelError);
}

}  // namespace
}  // namespace lora_dist::scale_test
