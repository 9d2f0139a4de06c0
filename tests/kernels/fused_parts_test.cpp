// Fused projections taken apart and joined.
#include <gtest/gtest.h>

#include <numeric>

#include "kernels/fused_parts/fused_parts.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::fused_parts_test {
namespace {

using namespace testing_support;

using Widths = std::vector<std::int64_t>;
using Values = std::vector<std::vector<float>>;

std::int64_t sum_of(const Widths& widths) { return std::accumulate(widths.begin(), widths.end(), std::int64_t{0}); }

template <class View, class Parts>
FusedParts<View> views_of(Parts& parts, std::int64_t tokens, const Widths& widths) {
  FusedParts<View> views{};
  for (std::size_t i = 0; i < widths.size(); ++i) {
    views[i] = view(parts[i].data(), {tokens, widths[i]});
  }
  return views;
}

Values split(const std::vector<float>& fused, std::int64_t groups, const Widths& widths, const Stream& stream = {}) {
  const std::int64_t tokens = static_cast<std::int64_t>(fused.size()) / sum_of(widths);
  Values parts;
  for (const std::int64_t width : widths) {
    parts.emplace_back(static_cast<std::size_t>(tokens * width));
  }
  split_parts(view(fused.data(), {tokens, sum_of(widths)}), groups, views_of<TensorView>(parts, tokens, widths), stream);
  return parts;
}

std::vector<float> joined(const Values& parts, std::int64_t groups, const Widths& widths, const Stream& stream = {}) {
  const std::int64_t tokens = static_cast<std::int64_t>(parts[0].size()) / widths[0];
  std::vector<float> fused(static_cast<std::size_t>(tokens * sum_of(widths)));
  join_parts(views_of<ConstTensorView>(parts, tokens, widths), groups, view(fused.data(), {tokens, sum_of(widths)}), stream);
  return fused;
}

TEST(FusedParts, Layouts) {
  // Two tokens of twelve elements.
  const std::vector<float> fused = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
  EXPECT_EQ(split(fused, 1, {4, 4, 4}),
            (Values{{0, 1, 2, 3, 20, 21, 22, 23}, {4, 5, 6, 7, 24, 25, 26, 27}, {8, 9, 10, 11, 28, 29, 30, 31}}));
  EXPECT_EQ(split(fused, 2, {4, 4, 4}),  // two heads of two elements
            (Values{{0, 1, 6, 7, 20, 21, 26, 27}, {2, 3, 8, 9, 22, 23, 28, 29}, {4, 5, 10, 11, 24, 25, 30, 31}}));
  EXPECT_EQ(split(fused, 1, {8, 2, 2}),  // fewer key heads
            (Values{{0, 1, 2, 3, 4, 5, 6, 7, 20, 21, 22, 23, 24, 25, 26, 27}, {8, 9, 28, 29}, {10, 11, 30, 31}}));
  EXPECT_EQ(split(fused, 1, {6, 6}),  // gate and up
            (Values{{0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25}, {6, 7, 8, 9, 10, 11, 26, 27, 28, 29, 30, 31}}));
}

TEST(FusedParts, JoinIsTheWayBackOnAnyThreads) {
  const std::vector<float> fused = random_floats(100 * 108, 1);
  for (const auto& [groups, widths] :
       std::vector<std::pair<std::int64_t, Widths>>{{1, {36, 36, 36}}, {4, {36, 36, 36}}, {1, {72, 18, 18}}, {1, {54, 54}}}) {
    EXPECT_TRUE(same_bits(joined(split(fused, groups, widths), groups, widths), fused));
    expect_same_bits_on_any_threads([&, groups = groups, widths = widths](const Stream& stream) {
      const Values parts = split(fused, groups, widths, stream);
      std::vector<float> all = joined(parts, groups, widths, stream);
      for (const std::vector<float>& part : parts) {
        all.insert(all.end(), part.begin(), part.end());
      }
      return all;
    });
  }
}

TEST(FusedParts, RefusesWhatTheContractExcludes) {
  const std::vector<float> in(24);
  std::vector<float> out(24);
  const auto call = [&](Shape fused, std::int64_t groups, Shape part, Shape last) {
    split_parts(view(in.data(), fused), groups, {view(out.data(), part), view(out.data(), part), view(out.data(), last)},
                Stream{});
  };
  EXPECT_NO_THROW(call({2, 12}, 2, {2, 4}, {2, 4}));
  EXPECT_THROW(call({2, 12}, 0, {2, 4}, {2, 4}), KernelError);
  EXPECT_THROW(call({2, 12}, 3, {2, 4}, {2, 4}), KernelError);
  EXPECT_THROW(call({2, 12}, 2, {2, 4}, {2, 2}), KernelError);
  EXPECT_THROW(call({2, 12}, 2, {2, 4}, {1, 4}), KernelError);
  const std::vector<std::int32_t> integers(24);
  EXPECT_THROW(split_parts(view(integers.data(), {2, 12}), 1, {view(out.data(), {2, 12})}, Stream{}), KernelError);
}

}  // namespace
}  // namespace lora_dist::fused_parts_test
