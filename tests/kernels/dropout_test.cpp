// Dropout: the mask against the one-number-at-a-time generator that the header names, and what follows from it.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/common/philox.h"
#include "kernels/dropout/dropout.h"
#include "kernels/dropout/dropout_mask.h"
#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::dropout_test {
namespace {

using namespace testing_support;

const DropoutKey kKey = {.seed = 0x123456789ABCDEFULL, .step = 17, .layer = 5, .module = 3};

struct Tokens {
  std::vector<std::int32_t> samples;
  std::vector<std::int32_t> positions;
};

Tokens tokens_of(std::int64_t n) {
  Tokens tokens;
  for (std::int64_t t = 0; t < n; ++t) {
    tokens.samples.push_back(static_cast<std::int32_t>(1000 + t / 3));
    tokens.positions.push_back(static_cast<std::int32_t>(t % 3));
  }
  return tokens;
}

bool dropped(const DropoutKey& key, std::int32_t sample, std::int32_t position, std::int64_t feature, float p) {
  const PhiloxKey philox_key = {static_cast<std::uint32_t>(key.seed),
                                static_cast<std::uint32_t>(key.seed >> 32) ^ (key.step * 0x9E3779B9U)};
  const PhiloxCounter bits = philox4x32({static_cast<std::uint32_t>(feature / 4), static_cast<std::uint32_t>(position),
                                         static_cast<std::uint32_t>(sample), key.layer * 16 + key.module},
                                        philox_key);
  return bits[static_cast<std::size_t>(feature % 4)] <
         static_cast<std::uint32_t>(std::floor(static_cast<double>(p) * 4294967296.0));
}

std::vector<float> forward(const std::vector<float>& x, const Tokens& tokens, float p, const DropoutKey& key,
                           const Stream& stream) {
  const auto n = static_cast<std::int64_t>(tokens.samples.size());
  const Shape shape = {n, static_cast<std::int64_t>(x.size()) / n};
  std::vector<float> y(x.size());
  dropout(view(x.data(), shape), view(tokens.samples.data(), {n}), view(tokens.positions.data(), {n}), p, key,
          view(y.data(), shape), stream);
  return y;
}

std::vector<float> backward(const std::vector<float>& dy, std::vector<float> dx, const Tokens& tokens, float p,
                            const Stream& stream) {
  const auto n = static_cast<std::int64_t>(tokens.samples.size());
  const Shape shape = {n, static_cast<std::int64_t>(dy.size()) / n};
  dropout_backward(view(dy.data(), shape), view(tokens.samples.data(), {n}), view(tokens.positions.data(), {n}), p, kKey,
                   view(dx.data(), shape), stream);
  return dx;
}

TEST(Philox, EqualsThePublishedVectors) {
  // Known answers of Random123 (kat_vectors) for philox4x32-10.
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}), (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Dropout, MaskIsThePromisedFunction) {
  for (const std::int64_t features : {1, 3, 4, 255, 257, 1030}) {
    for (const float p : {0.0F, 0.05F, 0.5F, 0.9F}) {
      const Tokens tokens = tokens_of(7);
      const std::vector<float> x = random_floats(7 * features, 1);
      const std::vector<float> y = forward(x, tokens, p, kKey, Stream{});
      const auto factor = static_cast<float>(1.0 / (1.0 - static_cast<double>(p)));
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t t = i / static_cast<std::size_t>(features);
        const bool zero = dropped(kKey, tokens.samples[t], tokens.positions[t], static_cast<std::int64_t>(i) % features, p);
        ASSERT_EQ(y[i], zero ? x[i] * 0.0F : x[i] * factor) << features << " " << p << " " << i;
      }
    }
  }
}

TEST(Dropout, EveryInstructionSetWritesTheSameBits) {
  using dropout_mask::kBlock;
  for (const std::uint32_t threshold : {0U, 1U, 0x1999999AU, 0x80000000U, 0xFFFFFFFFU}) {
    const dropout_mask::Row row = {.key = {0x89ABCDEFU, 0xFEDCBA98U},
                                   .counter = {0, 0xFFFFFFF0U, 12345, 0x80000001U},
                                   .threshold = threshold,
                                   .factor = 1.25F};
    for (const std::int64_t first : {std::int64_t{0}, kBlock, 1000 * kBlock}) {
      std::vector<float> plain(kBlock);
      std::vector<float> other(kBlock);
      dropout_mask::fill_block_plain(row, first, plain.data());
      dropout_mask::best_fill_block()(row, first, other.data());
      EXPECT_TRUE(same_bits(plain, other));
#if defined(__x86_64__)
      if (__builtin_cpu_supports("avx2")) {
        dropout_mask::fill_block_avx2(row, first, other.data());
        EXPECT_TRUE(same_bits(plain, other));
      }
      if (__builtin_cpu_supports("avx512f")) {
        dropout_mask::fill_block_avx512(row, first, other.data());
        EXPECT_TRUE(same_bits(plain, other));
      }
#endif
    }
  }
}

TEST(Dropout, EveryCoordinateChangesTheMask) {
  const std::vector<float> x(512, 1.0F);
  const Tokens one = {{1}, {1}};
  const std::vector<float> base = forward(x, one, 0.5F, kKey, Stream{});
  const auto with = [&](auto change) {
    DropoutKey key = kKey;
    change(key);
    return forward(x, one, 0.5F, key, Stream{});
  };
  EXPECT_NE(base, with([](DropoutKey& key) { key.seed += 1; }));
  EXPECT_NE(base, with([](DropoutKey& key) { key.seed += 1ULL << 40; }));
  EXPECT_NE(base, with([](DropoutKey& key) { key.step += 1; }));
  EXPECT_NE(base, with([](DropoutKey& key) { key.layer += 1; }));
  EXPECT_NE(base, with([](DropoutKey& key) { key.module += 1; }));
  EXPECT_NE(base, forward(x, {{2}, {1}}, 0.5F, kKey, Stream{}));
  EXPECT_NE(base, forward(x, {{1}, {2}}, 0.5F, kKey, Stream{}));
  EXPECT_EQ(base, forward(x, one, 0.5F, kKey, Stream{}));
}

TEST(Dropout, ShareOfZerosIsP) {
  const std::int64_t n = 1 << 18;
  const std::vector<float> y =
      forward(std::vector<float>(static_cast<std::size_t>(n), 1.0F), tokens_of(64), 0.1F, kKey, Stream{});
  const auto zeros = static_cast<double>(std::count(y.begin(), y.end(), 0.0F));
  // Five standard deviations of a binomial: sqrt(n p (1 - p)) = 154.
  EXPECT_NEAR(zeros, 0.1 * static_cast<double>(n), 770.0);
}

TEST(Dropout, BackwardAddsFiniteDifferences) {
  const Tokens tokens = tokens_of(5);
  const float p = 0.3F;
  const std::vector<float> x = random_floats(5 * 14, 1);
  const std::vector<float> dy = random_floats(5 * 14, 2);
  const std::vector<float> already = random_floats(5 * 14, 3);
  const auto f = [&](const std::vector<double>& at) {
    double sum = 0.0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      const std::size_t t = i / 14;
      const bool zero = dropped(kKey, tokens.samples[t], tokens.positions[t], static_cast<std::int64_t>(i % 14), p);
      sum += zero ? 0.0 : at[i] / (1.0 - static_cast<double>(p)) * dy[i];
    }
    return sum;
  };
  std::vector<double> expected = finite_difference(f, as_double(x));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expected[i] += already[i];
  }
  EXPECT_LT(error_of(backward(dy, already, tokens, p, Stream{}), expected), 1e-6);
}

TEST(Dropout, MayWriteOverItsInput) {
  const Tokens tokens = tokens_of(6);
  std::vector<float> x = random_floats(6 * 300, 1);
  const std::vector<float> expected = forward(x, tokens, 0.2F, kKey, Stream{});
  dropout(view(x.data(), {6, 300}), view(tokens.samples.data(), {6}), view(tokens.positions.data(), {6}), 0.2F, kKey,
          view(x.data(), {6, 300}), Stream{});
  EXPECT_TRUE(same_bits(x, expected));
}

TEST(Dropout, SameBitsOnAnyThreads) {
  const Tokens tokens = tokens_of(100);
  const std::vector<float> x = random_floats(100 * 333, 1);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    return join({forward(x, tokens, 0.1F, kKey, stream), backward(x, x, tokens, 0.1F, stream)});
  });
}

TEST(Dropout, NanIsNeverDropped) {
  const std::vector<float> x(100, std::numeric_limits<float>::quiet_NaN());
  for (const float y : forward(x, {{1}, {1}}, 0.9F, kKey, Stream{})) {
    EXPECT_TRUE(std::isnan(y));
  }
}

TEST(Dropout, RefusesWhatTheContractExcludes) {
  const std::vector<float> x(20);
  const Tokens two = tokens_of(2);
  EXPECT_THROW(forward(x, two, 1.0F, kKey, Stream{}), KernelError);
  EXPECT_THROW(forward(x, two, -0.1F, kKey, Stream{}), KernelError);
  EXPECT_THROW(forward(x, two, std::numeric_limits<float>::quiet_NaN(), kKey, Stream{}), KernelError);
  EXPECT_THROW(forward(x, {{1, 2}, {1}}, 0.1F, {.module = 16}, Stream{}), KernelError);
  std::vector<float> y(20);
  EXPECT_THROW(dropout(view(x.data(), {2, 10}), view(two.samples.data(), {1}), view(two.positions.data(), {2}), 0.1F, kKey,
                       view(y.data(), {2, 10}), Stream{}),
               KernelError);
  EXPECT_THROW(dropout(view(x.data(), {2, 10}), view(two.samples.data(), {2}), view(two.positions.data(), {2}), 0.1F, kKey,
                       view(y.data(), {4, 5}), Stream{}),
               KernelError);
}

}  // namespace
}  // namespace lora_dist::dropout_test
