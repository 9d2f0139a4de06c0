// Compares tensor-parallel parts of operators with the whole.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/dropout/dropout.h"
#include "kernels/elementwise/slice.h"
#include "kernels/embedding/embedding.h"
#include "tests/support/random_floats.h"

namespace lora_dist::parts_test {
namespace {

using namespace testing_support;

/// Columns [begin, end) of [rows, cols].
std::vector<float> columns(const std::vector<float>& whole, std::int64_t rows, std::int64_t begin, std::int64_t end) {
  const auto cols = static_cast<std::int64_t>(whole.size()) / rows;
  std::vector<float> part;
  for (std::int64_t r = 0; r < rows; ++r) {
    part.insert(part.end(), whole.begin() + r * cols + begin, whole.begin() + r * cols + end);
  }
  return part;
}

/// Sums of exponentials are rounded to float between the parts: a few units in the last place of a loss near 6.
void expect_three_parts_equal_the_whole(const LossGradient& of) {
  constexpr std::int64_t kTokens = 7;
  constexpr std::int64_t kVocab = 301;
  const std::vector<float> logits = random_floats(kTokens * kVocab, 1, 4.0F);
  const std::vector<std::int32_t> targets = {0, 99, 100, 101, kNotTrained, 300, 17};
  std::vector<float> whole = logits;
  std::vector<float> whole_loss(kTokens);
  const TensorView whole_view = view(whole.data(), {kTokens, kVocab});
  cross_entropy(whole_view, view(std::span(targets)), of, view(std::span(whole_loss)), whole_view, Stream{});

  const std::vector<std::int64_t> cuts = {0, 100, 101, kVocab};
  std::vector<std::vector<float>> parts;
  std::vector<float> numbers(3 * kTokens * kSoftmaxNumbers);
  for (std::size_t p = 0; p < 3; ++p) {
    parts.push_back(columns(logits, kTokens, cuts[p], cuts[p + 1]));
    const TensorView own =
        view(numbers.data() + static_cast<std::int64_t>(p) * kTokens * kSoftmaxNumbers, {kTokens, kSoftmaxNumbers});
    softmax_numbers(view(parts[p].data(), {kTokens, cuts[p + 1] - cuts[p]}), view(std::span(targets)), cuts[p], own, Stream{});
  }
  for (std::size_t p = 0; p < 3; ++p) {
    std::vector<float> loss(kTokens);
    const TensorView own = view(parts[p].data(), {kTokens, cuts[p + 1] - cuts[p]});
    cross_entropy_part({.logits = own,
                        .targets = view(std::span(targets)),
                        .first = cuts[p],
                        .numbers = view(numbers.data(), {3 * kTokens, kSoftmaxNumbers}),
                        .of = of,
                        .loss = view(std::span(loss)),
                        .gradient = own},
                       Stream{});
    for (std::size_t t = 0; t < loss.size(); ++t) {
      EXPECT_NEAR(loss[t], whole_loss[t], 3e-6) << t;
    }
    const std::vector<float> expected = columns(whole, kTokens, cuts[p], cuts[p + 1]);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(parts[p][i], expected[i], 1e-6) << "part " << p << ", element " << i;
    }
  }
}

TEST(Parts, CrossEntropyOverAVocabularyInThreeParts) { expect_three_parts_equal_the_whole({0.5F}); }

TEST(Parts, CrossEntropyOfSoftCappedLogitsInThreeParts) { expect_three_parts_equal_the_whole({0.5F, 5.0F}); }

TEST(Parts, ANaNInOnePartIsANaNInTheLossOfAll) {
  std::vector<float> numbers = {1.0F, 2.0F, 0.5F, 1.0F, std::nanf(""), 0.0F};
  std::vector<float> logits = {0.5F, 1.0F};
  std::vector<float> loss(1);
  const std::vector<std::int32_t> target = {0};
  const TensorView own = view(logits.data(), {1, 2});
  cross_entropy_part({.logits = own,
                      .targets = view(std::span(target)),
                      .first = 0,
                      .numbers = view(numbers.data(), {2, kSoftmaxNumbers}),
                      .of = {},
                      .loss = view(std::span(loss)),
                      .gradient = own},
                     Stream{});
  EXPECT_TRUE(std::isnan(loss[0]));
}

/// Each part writes only the rows of its ids.
TEST(Parts, EmbeddingsOfTwoPartsAreThatOfTheWhole) {
  constexpr std::int64_t kHidden = 5;
  const std::vector<float> table = random_floats(9 * kHidden, 2, 1.0F);
  const std::vector<std::int32_t> ids = {8, 0, 3, 4, 3};
  const Shape shape{static_cast<std::int64_t>(ids.size()), kHidden};
  std::vector<float> whole(static_cast<std::size_t>(shape.count()));
  embedding(view(std::span(ids)), view(table.data(), {9, kHidden}), view(whole.data(), shape), Stream{});
  std::vector<float> parts(whole.size(), -7.0F);
  embedding_part(view(std::span(ids)), 4, view(table.data() + 4 * kHidden, {5, kHidden}), view(parts.data(), shape), Stream{});
  EXPECT_EQ(parts[kHidden], -7.0F);  // id 0 belongs to the other part
  embedding_part(view(std::span(ids)), 0, view(table.data(), {4, kHidden}), view(parts.data(), shape), Stream{});
  EXPECT_EQ(parts, whole);
}

TEST(Parts, DropoutOfAPartIsThatPartOfTheMask) {
  constexpr std::int64_t kTokens = 3;
  constexpr std::int64_t kWidth = 700;
  const std::vector<float> x = random_floats(kTokens * kWidth, 3, 1.0F);
  const std::vector<std::int32_t> samples = {4, 4, 9};
  const std::vector<std::int32_t> positions = {0, 1, 7};
  const auto dropped = [&](const std::vector<float>& in, std::uint32_t first) {
    std::vector<float> out(in.size());
    const Shape shape{kTokens, static_cast<std::int64_t>(in.size()) / kTokens};
    dropout(view(in.data(), shape), view(std::span(samples)), view(std::span(positions)), 0.3F, {42, 3, 1, 2, first},
            view(out.data(), shape), Stream{});
    return out;
  };
  const std::vector<float> whole = dropped(x, 0);
  for (const auto& [begin, end] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 256}, {1, 300}, {255, 700}, {258, 515}, {699, 700}}) {
    EXPECT_EQ(dropped(columns(x, kTokens, begin, end), static_cast<std::uint32_t>(begin)), columns(whole, kTokens, begin, end))
        << begin << " to " << end;
  }
}

TEST(Parts, RunsAreTakenAndAddedInTheirPlaces) {
  std::vector<float> whole(20);
  std::iota(whole.begin(), whole.end(), 0.0F);
  const StridedSlice slice{3, 2, 1, 6};
  std::vector<float> part(6);
  take_slice(view(std::span(std::as_const(whole))), slice, view(std::span(part)), Stream{});
  EXPECT_EQ(part, (std::vector<float>{1, 2, 7, 8, 13, 14}));
  std::vector<std::int64_t> sums(15, 100);
  const std::vector<std::int64_t> added = {1, 2, 3, 4, 5, 6};
  add_slice(view(std::span(added)), slice, view(std::span(sums)), Stream{});
  EXPECT_EQ(sums, (std::vector<std::int64_t>{100, 101, 102, 100, 100, 100, 100, 103, 104, 100, 100, 100, 100, 105, 106}));
}

TEST(Parts, TheFirstRunsMayLieElsewhere) {
  std::vector<float> whole(24);
  std::iota(whole.begin(), whole.end(), 0.0F);
  const StridedSlice slice{.rows = 4, .width = 2, .start = 13, .stride = 5, .lead = 2, .lead_start = 3};
  std::vector<float> part(8);
  take_slice(view(std::span(std::as_const(whole))), slice, view(std::span(part)), Stream{});
  EXPECT_EQ(part, (std::vector<float>{3, 4, 5, 6, 13, 14, 18, 19}));
}

TEST(Parts, RunsThatOverlapOrReachTooFarAreRefused) {
  std::vector<float> whole(10);
  std::vector<float> part(4);
  const auto take = [&](const StridedSlice& slice) {
    take_slice(view(std::span(std::as_const(whole))), slice, view(std::span(part)), Stream{});
  };
  EXPECT_THROW(take({2, 2, 0, 1}), KernelError);
  EXPECT_THROW(take({2, 2, 0, 9}), KernelError);
  EXPECT_THROW(take({1, 3, 0, 0}), KernelError);
  EXPECT_THROW(take({2, 2, 3, 0, 1, 2}), KernelError);
}

}  // namespace
}  // namespace lora_dist::parts_test
