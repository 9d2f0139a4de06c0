// Embedding from tables of all three float types.
#include <gtest/gtest.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/embedding/embedding.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::embedding_test {
namespace {

using namespace testing_support;

std::vector<float> run(const std::vector<std::int32_t>& ids, ConstTensorView table, const Stream& stream) {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  std::vector<float> out(static_cast<std::size_t>(tokens * table.cols()));
  embedding(view(ids.data(), {tokens}), table, view(out.data(), {tokens, table.cols()}), stream);
  return out;
}

TEST(Embedding, PicksRows) {
  const std::vector<float> table = random_floats(50 * 33, 1);
  const std::vector<std::int32_t> ids = {0, 49, 7, 7, 31};
  const std::vector<float> out = run(ids, view(table.data(), {50, 33}), Stream{});
  for (std::size_t t = 0; t < ids.size(); ++t) {
    for (std::size_t i = 0; i < 33; ++i) {
      ASSERT_EQ(out[t * 33 + i], table[static_cast<std::size_t>(ids[t]) * 33 + i]);
    }
  }
}

TEST(Embedding, WidensHalfTables) {
  const std::vector<float> values = random_floats(50 * 33, 1);
  const std::vector<std::int32_t> ids = {3, 49};
  for (const DType dtype : {DType::f16, DType::bf16}) {
    std::vector<std::uint16_t> table(values.size());
    std::vector<float> rounded(values.size());
    const TensorView narrow = {table.data(), dtype, {50, 33}};
    cast(view(values.data(), {50, 33}), narrow, Stream{});
    cast(narrow, view(rounded.data(), {50, 33}), Stream{});
    EXPECT_TRUE(same_bits(run(ids, narrow, Stream{}), run(ids, view(std::as_const(rounded).data(), {50, 33}), Stream{})));
  }
}

TEST(AddRows, AddsRowsOfAnyTable) {
  const std::vector<float> values = random_floats(50 * 33, 1);
  const std::vector<float> before = random_floats(4 * 33, 2);
  const std::vector<std::int32_t> index = {3, 49, 0, 3};
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    std::vector<float> memory(values.size());  // room for any of the three
    const TensorView table = {memory.data(), dtype, {50, 33}};
    cast(view(values.data(), {50, 33}), table, Stream{});
    std::vector<float> expected = run(index, table, Stream{});
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] += before[i];
    }
    std::vector<float> y = before;
    add_rows(table, view(index.data(), {4}), view(y.data(), {4, 33}), Stream{});
    EXPECT_TRUE(same_bits(y, expected)) << name_of(dtype);
  }
}

TEST(AddRows, RefusesWhatTheContractExcludes) {
  const std::vector<float> table(20);
  std::vector<float> y(8);
  const auto call = [&](std::vector<std::int32_t> index, Shape shape) {
    add_rows(view(table.data(), {5, 4}), view(std::as_const(index).data(), {static_cast<std::int64_t>(index.size())}),
             view(y.data(), shape), Stream{});
  };
  EXPECT_NO_THROW(call({0, 4}, {2, 4}));
  EXPECT_THROW(call({0, 5}, {2, 4}), KernelError);
  EXPECT_THROW(call({0, -1}, {2, 4}), KernelError);
  EXPECT_THROW(call({0}, {2, 4}), KernelError);
}

TEST(Embedding, SameBitsOnAnyThreads) {
  const std::vector<float> table = random_floats(10 * 20, 1);
  const std::vector<std::int32_t> ids(500, 3);
  expect_same_bits_on_any_threads([&](const Stream& stream) { return run(ids, view(table.data(), {10, 20}), stream); });
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    std::vector<float> y = random_floats(500 * 20, 2);
    add_rows(view(table.data(), {10, 20}), view(ids.data(), {500}), view(y.data(), {500, 20}), stream);
    return y;
  });
}

TEST(Embedding, RefusesWhatTheContractExcludes) {
  const std::vector<float> table(20);
  const std::vector<std::int32_t> integers(20);
  EXPECT_THROW(run({0, 5}, view(table.data(), {5, 4}), Stream{}), KernelError);
  EXPECT_THROW(run({-1}, view(table.data(), {5, 4}), Stream{}), KernelError);
  EXPECT_THROW(run({0}, view(integers.data(), {5, 4}), Stream{}), KernelError);
  std::vector<float> out(20);
  EXPECT_THROW(embedding(view(integers.data(), {2}), view(table.data(), {5, 4}), view(out.data(), {2, 5}), Stream{}),
               KernelError);
}

}  // namespace
}  // namespace lora_dist::embedding_test
