// Rows put before sequences, and their gradients.
#include <gtest/gtest.h>

#include "kernels/virtual_rows/virtual_rows.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::virtual_rows_test {
namespace {

using namespace testing_support;

using Floats = std::vector<float>;

const std::vector<std::int32_t> kStarts = {0, 3, 7};  // sequences of 3 and 4 rows

VirtualRows rows_at(std::int64_t first_row = 0, std::int64_t first_column = 0) {
  return {view(kStarts.data(), {3}), first_row, first_column};
}

/// Two virtual rows of two columns.
TEST(VirtualRows, ArePutBeforeEverySequence) {
  const Floats table = {1, 2, 3, 4};
  Floats x(14, 9);
  put_virtual_rows(view(table.data(), {2, 2}), rows_at(), view(x.data(), {7, 2}), Stream{});
  EXPECT_EQ(x, (Floats{1, 2, 3, 4, 9, 9, 1, 2, 3, 4, 9, 9, 9, 9}));
}

TEST(VirtualRows, TakeSomeColumnsOfTheTable) {
  const Floats table = {1, 2, 3, 4, 5, 6};  // [2, 3]
  Floats x(7, 9);
  put_virtual_rows(view(table.data(), {2, 3}), rows_at(0, 1), view(x.data(), {7, 1}), Stream{});
  EXPECT_EQ(x, (Floats{2, 5, 9, 2, 5, 9, 9}));
}

/// Rows 1 to 3 of the batch.
TEST(VirtualRows, ReachOnlyRowsThatAreThere) {
  const Floats table = {1, 2};
  Floats x(3, 9);
  put_virtual_rows(view(table.data(), {2, 1}), rows_at(1), view(x.data(), {3, 1}), Stream{});
  EXPECT_EQ(x, (Floats{2, 9, 1}));
  Floats dx = {10, 20, 30};
  Floats sums(2, 9);
  take_virtual_rows(view(dx.data(), {3, 1}), rows_at(1), 1.0F, view(sums.data(), {2, 1}), Stream{});
  EXPECT_EQ(sums, (Floats{30, 10}));
  EXPECT_EQ(dx, (Floats{0, 20, 0}));
}

TEST(VirtualRows, GiveTheirGradientsToTheTable) {
  Floats dx = {1, 2, 4, 8, 16, 32, 64};
  Floats sums(4, 9);  // [2, 2]
  take_virtual_rows(view(dx.data(), {7, 1}), rows_at(0, 1), 0.5F, view(sums.data(), {2, 2}), Stream{});
  EXPECT_EQ(sums, (Floats{9, 4.5F, 9, 9}));  // (1 + 8) / 2, (2 + 16) / 2
  EXPECT_EQ(dx, (Floats{0, 0, 4, 0, 0, 32, 64}));
}

TEST(VirtualRows, SameBitsOnAnyThreads) {
  const Floats table = random_floats(20 * 33, 1);
  const std::vector<std::int32_t> starts = {0, 50, 90, 140};
  const VirtualRows at{view(starts.data(), {4}), 0, 0};
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    Floats x = random_floats(140 * 33, 2);
    put_virtual_rows(view(table.data(), {20, 33}), at, view(x.data(), {140, 33}), stream);
    Floats dx = random_floats(140 * 33, 3);
    Floats sums(20 * 33);
    take_virtual_rows(view(dx.data(), {140, 33}), at, 1.5F, view(sums.data(), {20, 33}), stream);
    return join({x, dx, sums});
  });
}

TEST(VirtualRows, RefuseWhatTheContractExcludes) {
  Floats table(8);
  Floats x(14);
  const auto put = [&](Shape of_table, std::int64_t first_column) {
    put_virtual_rows(view(table.data(), of_table), rows_at(0, first_column), view(x.data(), {7, 2}), Stream{});
  };
  EXPECT_NO_THROW(put({2, 4}, 2));
  EXPECT_THROW(put({2, 4}, 3), KernelError);
  EXPECT_THROW(put({2, 1}, 0), KernelError);
  EXPECT_THROW(put({4, 2}, 0), KernelError);  // the first sequence has three rows
}

}  // namespace
}  // namespace lora_dist::virtual_rows_test
