// Gather and scatter of rows.
#include <gtest/gtest.h>

#include <numeric>

#include "kernels/elementwise/rows.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::rows_test {
namespace {

using namespace testing_support;

std::vector<float> gather(const std::vector<float>& x, std::int64_t width, const std::vector<std::int32_t>& index,
                          const Stream& stream = {}) {
  const auto n = static_cast<std::int64_t>(index.size());
  std::vector<float> out(static_cast<std::size_t>(n * width));
  gather_rows(view(x.data(), {static_cast<std::int64_t>(x.size()) / width, width}), view(index.data(), {n}),
              view(out.data(), {n, width}), stream);
  return out;
}

std::vector<float> scatter(const std::vector<float>& rows, std::int64_t width, const std::vector<std::int32_t>& index,
                           std::int64_t tokens, const Stream& stream = {}) {
  const auto n = static_cast<std::int64_t>(index.size());
  std::vector<float> x(static_cast<std::size_t>(tokens * width), 9.0F);
  scatter_rows(view(rows.data(), {n, width}), view(index.data(), {n}), view(x.data(), {tokens, width}), stream);
  return x;
}

TEST(Rows, GatherAndScatter) {
  const std::vector<float> x = {0, 1, 10, 11, 20, 21, 30, 31};
  EXPECT_EQ(gather(x, 2, {3, 0, 0}), (std::vector<float>{30, 31, 0, 1, 0, 1}));
  EXPECT_EQ(scatter({5, 6, 7, 8}, 2, {1, 3}, 4), (std::vector<float>{0, 0, 5, 6, 0, 0, 7, 8}));
  EXPECT_EQ(scatter({}, 2, {}, 2), std::vector<float>(4, 0.0F));
}

TEST(Rows, SameBitsOnAnyThreads) {
  const std::vector<float> x = random_floats(1000 * 7, 1);
  std::vector<std::int32_t> index(500);
  std::iota(index.begin(), index.end(), 250);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    const std::vector<float> picked = gather(x, 7, index, stream);
    return join({picked, scatter(picked, 7, index, 1000, stream)});
  });
}

TEST(Rows, RefusesWhatTheContractExcludes) {
  const std::vector<float> x(8);
  EXPECT_THROW(gather(x, 2, {4}), KernelError);
  EXPECT_THROW(gather(x, 2, {-1}), KernelError);
  EXPECT_THROW(scatter({1, 2}, 2, {4}, 4), KernelError);
  EXPECT_THROW(scatter({1, 2, 3, 4}, 2, {2, 2}, 4), KernelError);
  EXPECT_THROW(scatter({1, 2, 3, 4}, 2, {2, 1}, 4), KernelError);
  std::vector<float> out(4);
  const std::vector<std::int32_t> index = {0, 1};
  EXPECT_THROW(gather_rows(view(x.data(), {4, 2}), view(index.data(), {2}), view(out.data(), {1, 4}), Stream{}), KernelError);
}

}  // namespace
}  // namespace lora_dist::rows_test
