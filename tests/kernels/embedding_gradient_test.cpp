// The gradient of an embedding's rows against finite differences of the embedding.
#include "kernels/embedding/embedding_gradient.h"

#include <gtest/gtest.h>

#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::embedding_gradient_test {
namespace {

using namespace testing_support;

constexpr float kScale = 0.5F;

/// The sum of scale * dy * the rows of the tokens whose ids are in the table.
double weighted_rows(const std::vector<std::int32_t>& ids, std::int64_t first, const std::vector<double>& dy,
                     const std::vector<double>& table, std::int64_t hidden) {
  const std::int64_t rows = std::ssize(table) / hidden;
  double sum = 0.0;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    const std::int64_t row = ids[t] - first;
    for (std::int64_t j = 0; j < hidden && row >= 0 && row < rows; ++j) {
      sum += static_cast<double>(kScale) * dy[t * static_cast<std::size_t>(hidden) + static_cast<std::size_t>(j)] *
             table[static_cast<std::size_t>(row * hidden + j)];
    }
  }
  return sum;
}

void expect_finite_differences(const std::vector<std::int32_t>& ids, std::int64_t first, std::int64_t rows, std::int64_t hidden) {
  const auto tokens = std::ssize(ids);
  const std::vector<float> dy = random_floats(tokens * hidden, 1);
  const std::vector<float> already = random_floats(rows * hidden, 2);
  std::vector<float> gradient = already;
  embedding_gradient(view(ids.data(), {tokens}), first, view(dy.data(), {tokens, hidden}), kScale,
                     view(gradient.data(), {rows, hidden}), {});
  const auto of_table = [&](const std::vector<double>& at) { return weighted_rows(ids, first, as_double(dy), at, hidden); };
  std::vector<double> expected = finite_difference(of_table, as_double(random_floats(rows * hidden, 3)));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expected[i] += static_cast<double>(already[i]);
  }
  EXPECT_LT(error_of(gradient, expected), 1e-6) << rows << " rows of " << hidden;  // sums of at most four numbers in f32
}

TEST(EmbeddingGradient, AddsFiniteDifferences) {
  for (const std::int64_t hidden : {1, 5, 130}) {
    expect_finite_differences({0, 6, 3, 3, 0, 3}, 0, 7, hidden);
    expect_finite_differences({0, 6, 3, 3, 0, 3}, 2, 2, hidden);     // a part of the vocabulary
    expect_finite_differences({-1, 1, 0, -1, 1, -1}, 0, 2, hidden);  // numbers in a list of rows
  }
}

TEST(EmbeddingGradient, LeavesRowsOfOtherIds) {
  const std::vector<std::int32_t> ids = {4, 9};
  const std::vector<float> dy = random_floats(2 * 3, 1);
  const std::vector<float> already = random_floats(3 * 3, 2);
  std::vector<float> gradient = already;
  embedding_gradient(view(ids.data(), {2}), 5, view(dy.data(), {2, 3}), kScale, view(gradient.data(), {3, 3}), {});
  EXPECT_TRUE(same_bits(gradient, already));
}

TEST(EmbeddingGradient, SameBitsOnAnyThreads) {
  const std::vector<float> dy = random_floats(300 * 257, 1);
  std::vector<std::int32_t> ids(300);
  for (std::size_t t = 0; t < ids.size(); ++t) {
    ids[t] = static_cast<std::int32_t>(t * t % 7);
  }
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    std::vector<float> gradient(7 * 257);
    embedding_gradient(view(ids.data(), {300}), 0, view(dy.data(), {300, 257}), kScale, view(gradient.data(), {7, 257}), stream);
    return gradient;
  });
}

TEST(EmbeddingGradient, RefusesShapesThatDisagree) {
  const std::vector<std::int32_t> ids = {0, 1};
  std::vector<float> values(6);
  std::vector<std::uint16_t> narrow(6);
  const auto call = [&](Shape dx, TensorView table) {
    embedding_gradient(view(ids.data(), {2}), 0, view(values.data(), dx), kScale, table, {});
  };
  EXPECT_THROW(call({3, 2}, view(values.data(), {2, 2})), KernelError);
  EXPECT_THROW(call({2, 3}, view(values.data(), {2, 2})), KernelError);
  EXPECT_THROW(call({2, 3}, view(values.data(), {6})), KernelError);
  EXPECT_THROW(call({2, 3}, {narrow.data(), DType::bf16, {2, 3}}), KernelError);
}

}  // namespace
}  // namespace lora_dist::embedding_gradient_test
