// Fused projections taken apart and joined.
#include <gtest/gtest.h>

#include "kernels/fused_qkv/fused_qkv.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::fused_qkv_test {
namespace {

using namespace testing_support;

struct Parts {
  std::vector<float> q;
  std::vector<float> k;
  std::vector<float> v;
};

Parts split(const std::vector<float>& fused, std::int64_t heads, std::int64_t head_dim, FusedQkv layout,
            const Stream& stream = {}) {
  const std::int64_t width = heads * head_dim;
  const std::int64_t tokens = static_cast<std::int64_t>(fused.size()) / (3 * width);
  const std::vector<float> empty(static_cast<std::size_t>(tokens * width));
  Parts parts = {empty, empty, empty};
  split_qkv(view(fused.data(), {tokens, 3 * width}), {.heads = heads, .head_dim = head_dim, .layout = layout},
            view(parts.q.data(), {tokens, width}), view(parts.k.data(), {tokens, width}), view(parts.v.data(), {tokens, width}),
            stream);
  return parts;
}

std::vector<float> joined(const Parts& parts, std::int64_t heads, std::int64_t head_dim, FusedQkv layout,
                          const Stream& stream = {}) {
  const std::int64_t width = heads * head_dim;
  const std::int64_t tokens = static_cast<std::int64_t>(parts.q.size()) / width;
  std::vector<float> fused(parts.q.size() * 3);
  join_qkv(view(parts.q.data(), {tokens, width}), view(parts.k.data(), {tokens, width}), view(parts.v.data(), {tokens, width}),
           {.heads = heads, .head_dim = head_dim, .layout = layout}, view(fused.data(), {tokens, 3 * width}), stream);
  return fused;
}

TEST(FusedQkv, Layouts) {
  // Two tokens, two heads of two elements.
  const std::vector<float> fused = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
  const Parts slices = split(fused, 2, 2, FusedQkv::slices);
  EXPECT_EQ(slices.q, (std::vector<float>{0, 1, 2, 3, 20, 21, 22, 23}));
  EXPECT_EQ(slices.k, (std::vector<float>{4, 5, 6, 7, 24, 25, 26, 27}));
  EXPECT_EQ(slices.v, (std::vector<float>{8, 9, 10, 11, 28, 29, 30, 31}));
  const Parts heads = split(fused, 2, 2, FusedQkv::per_head);
  EXPECT_EQ(heads.q, (std::vector<float>{0, 1, 6, 7, 20, 21, 26, 27}));
  EXPECT_EQ(heads.k, (std::vector<float>{2, 3, 8, 9, 22, 23, 28, 29}));
  EXPECT_EQ(heads.v, (std::vector<float>{4, 5, 10, 11, 24, 25, 30, 31}));
}

TEST(FusedQkv, JoinIsTheWayBackOnAnyThreads) {
  const std::vector<float> fused = random_floats(100 * 3 * 4 * 9, 1);
  for (const FusedQkv layout : {FusedQkv::slices, FusedQkv::per_head}) {
    EXPECT_TRUE(same_bits(joined(split(fused, 4, 9, layout), 4, 9, layout), fused));
    expect_same_bits_on_any_threads([&](const Stream& stream) {
      const Parts parts = split(fused, 4, 9, layout, stream);
      return join({parts.q, parts.k, parts.v, joined(parts, 4, 9, layout, stream)});
    });
  }
}

TEST(FusedQkv, RefusesWhatTheContractExcludes) {
  const std::vector<float> in(24);
  std::vector<float> out(24);
  const auto call = [&](Shape fused, std::int64_t heads, std::int64_t head_dim, Shape part, Shape last) {
    split_qkv(view(in.data(), fused), {.heads = heads, .head_dim = head_dim, .layout = FusedQkv::slices}, view(out.data(), part),
              view(out.data(), part), view(out.data(), last), Stream{});
  };
  EXPECT_NO_THROW(call({2, 12}, 2, 2, {2, 4}, {2, 4}));
  EXPECT_THROW(call({2, 12}, 0, 2, {2, 4}, {2, 4}), KernelError);
  EXPECT_THROW(call({2, 12}, 2, 3, {2, 4}, {2, 4}), KernelError);
  EXPECT_THROW(call({2, 12}, 2, 2, {2, 3}, {2, 3}), KernelError);
  EXPECT_THROW(call({2, 12}, 2, 2, {2, 4}, {1, 4}), KernelError);
  const std::vector<std::int32_t> integers(24);
  EXPECT_THROW(split_qkv(view(integers.data(), {2, 12}), {.heads = 2, .head_dim = 2, .layout = FusedQkv::slices},
                         view(out.data(), {2, 4}), view(out.data(), {2, 4}), view(out.data(), {2, 4}), Stream{}),
               KernelError);
}

}  // namespace
}  // namespace lora_dist::fused_qkv_test
