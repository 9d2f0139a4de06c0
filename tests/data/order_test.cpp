// Packing and the sampler: invariants, and recorded orders.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "kernels/common/check.h"
#include "src/data/packing.h"
#include "src/data/random_key.h"
#include "src/data/sampler.h"
#include "tests/data/load.h"
#include "tests/support/numbered_samples.h"

namespace lora_dist::order_test {
namespace {

using test::random_samples;
using test::samples_of;

TEST(Packing, BestFitByHand) {
  const auto samples = samples_of({6, 5, 4, 3, 10, 2, 12});
  const std::vector<Sequence> expected = {{0, 2}, {1, 3, 5}, {4}, {6}};
  EXPECT_EQ(pack_samples(samples, 10, true), expected);
}

TEST(Packing, EverySampleOnceAndWithinCapacity) {
  const auto samples = random_samples(5000);
  const auto sequences = pack_samples(samples, 512, true);
  std::vector<int> seen(samples.size(), 0);
  std::int64_t tokens = 0;
  for (const Sequence& sequence : sequences) {
    std::size_t length = 0;
    for (const std::int32_t i : sequence) {
      ++seen[static_cast<std::size_t>(i)];
      length += samples[static_cast<std::size_t>(i)].input_ids.size();
    }
    EXPECT_LE(length, 512U);
    tokens += static_cast<std::int64_t>(length);
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), 5000);
  EXPECT_GT(static_cast<double>(tokens) / (512.0 * static_cast<double>(sequences.size())), 0.97);  // what packing is for
  EXPECT_EQ(sequences, pack_samples(samples, 512, true));
  EXPECT_TRUE(std::is_sorted(sequences.begin(), sequences.end(), [](const auto& a, const auto& b) { return a[0] < b[0]; }));
}

/// Three virtual tokens before each sample; a sequence has room for those of one sample beside ten tokens.
TEST(Packing, CountsVirtualTokens) {
  const auto samples = samples_of({6, 5, 4, 1, 10, 12});
  EXPECT_EQ(pack_samples(samples, 10, true, 3), (std::vector<Sequence>{{0, 3}, {1}, {2}, {4}, {5}}));
}

TEST(Packing, OffIsOneSamplePerSequenceInOrder) {
  const auto sequences = pack_samples(samples_of({3, 3, 3}), 100, false);
  EXPECT_EQ(sequences, (std::vector<Sequence>{{0}, {1}, {2}}));
}

TEST(Sampler, OrderIsAPermutationOfTheSeedAndTheEpoch) {
  const auto order = epoch_order(42, 0, 1000, true);
  EXPECT_EQ(std::set<std::int32_t>(order.begin(), order.end()).size(), 1000U);
  EXPECT_EQ(*std::max_element(order.begin(), order.end()), 999);
  EXPECT_EQ(order, epoch_order(42, 0, 1000, true));
  EXPECT_NE(order, epoch_order(42, 1, 1000, true));
  EXPECT_NE(order, epoch_order(43, 0, 1000, true));
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  auto plain = epoch_order(42, 5, 1000, false);
  EXPECT_TRUE(std::is_sorted(plain.begin(), plain.end()));
  EXPECT_TRUE(epoch_order(42, 0, 0, true).empty());
}

TEST(Sampler, EveryPlaceIsAsLikely) {
  // The position of item 0 among 6, over 6,000 seeds: 1,000 each, standard deviation 29; 150 is five of them.
  std::array<int, 6> counts{};
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    const auto order = epoch_order(seed, 0, 6, true);
    ++counts[static_cast<std::size_t>(std::find(order.begin(), order.end(), 0) - order.begin())];
  }
  for (const int count : counts) {
    EXPECT_NEAR(count, 1000, 150);
  }
}

TEST(Sampler, OrderOfASeedNeverChanges) {
  // Philox4x32-10 of counter {item, 0, epoch, "ORDR"} and key {seed, 0}, sorted: checked with an independent implementation.
  EXPECT_EQ(epoch_order(42, 0, 10, true), (std::vector<std::int32_t>{2, 7, 3, 0, 9, 6, 5, 1, 8, 4}));
  EXPECT_EQ(epoch_order(42, 1, 10, true), (std::vector<std::int32_t>{3, 9, 7, 1, 2, 0, 8, 6, 4, 5}));
}

TEST(Sampler, StepsCoverEachEpochOnceAndNeverMix) {
  const std::int64_t count = 10, batch = 4;
  EXPECT_EQ(steps_per_epoch(count, batch), 3);
  EXPECT_EQ(steps_per_epoch(8, 4), 2);
  EXPECT_EQ(cursor_at(0, count, batch), (Cursor{0, 0}));
  EXPECT_EQ(cursor_at(2, count, batch), (Cursor{0, 8}));
  EXPECT_EQ(cursor_at(3, count, batch), (Cursor{1, 0}));
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    const auto order = epoch_order(7, epoch, count, true);
    std::vector<std::int32_t> seen;
    for (std::int64_t step = 3 * epoch; step < 3 * epoch + 3; ++step) {
      const Cursor cursor = cursor_at(step, count, batch);
      EXPECT_EQ(cursor.epoch, epoch);
      const auto part = global_batch_at(order, cursor, batch);
      EXPECT_EQ(part.size(), step % 3 == 2 ? 2U : 4U);
      seen.insert(seen.end(), part.begin(), part.end());
    }
    EXPECT_EQ(seen, order);
  }
  EXPECT_THROW(steps_per_epoch(0, 4), KernelError);
  const auto order = epoch_order(7, 0, count, true);
  EXPECT_THROW(global_batch_at(order, {0, 10}, batch), KernelError);
}

TEST(Order, WithoutShuffleAndPackingStepsFollowTheFile) {
  const auto samples = random_samples(10);
  const auto sequences = pack_samples(samples, 512, false);
  const auto order = epoch_order(1, 0, static_cast<std::int64_t>(sequences.size()), false);
  std::vector<std::int32_t> ids;
  for (const std::int32_t s : global_batch_at(order, cursor_at(1, 10, 4), 4)) {
    ids.push_back(sequences[static_cast<std::size_t>(s)][0]);
  }
  EXPECT_EQ(ids, (std::vector<std::int32_t>{4, 5, 6, 7}));
}

}  // namespace
}  // namespace lora_dist::order_test
