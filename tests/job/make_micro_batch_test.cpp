// Concatenated samples: segments, shifted labels, and the sequences of a micro-batch.
#include "src/job/make_micro_batch.h"

#include <gtest/gtest.h>

#include "tests/support/numbered_samples.h"

namespace lora_dist::make_micro_batch_test {
namespace {

using test::random_samples;
using test::samples_of;

TEST(MakeMicroBatch, SamplesAreSegmentsAndLabelsShiftWithin) {
  auto samples = samples_of({3, 1, 2});
  const std::vector<std::int32_t> labels = {-100, -100, 2};
  samples[0].labels = labels;
  const std::vector<Sequence> sequences = {{2, 0}, {1}};
  const MicroBatch batch = make_micro_batch(sequences, samples);
  EXPECT_EQ(batch.ids, (std::vector<std::int32_t>{20, 21, 0, 1, 2, 10}));
  EXPECT_EQ(batch.targets, (std::vector<std::int32_t>{21, -100, -100, 2, -100, -100}));
  EXPECT_EQ(batch.positions, (std::vector<std::int32_t>{0, 1, 0, 1, 2, 0}));
  EXPECT_EQ(batch.sample_ids, (std::vector<std::int32_t>{102, 102, 100, 100, 100, 101}));
  EXPECT_EQ(batch.cu_seqlens, (std::vector<std::int32_t>{0, 2, 5, 6}));
  EXPECT_EQ(batch.target_tokens(), 2);
  EXPECT_EQ(make_micro_batch({}, samples).cu_seqlens, std::vector<std::int32_t>{0});
}

TEST(MakeMicroBatch, TargetTokensAreTheSamplesTrainedTokens) {
  const auto samples = random_samples(50);
  const auto sequences = pack_samples(samples, 512, true);
  std::int64_t trained = 0;
  for (const Sample& sample : samples) {
    trained += trained_tokens(sample);
  }
  EXPECT_EQ(make_micro_batch(sequences, samples).target_tokens(), trained);
}

TEST(MakeMicroBatch, TheLastOneMayBeShorter) {
  const std::vector<Sequence> sequences = {{0}, {1}, {2}, {3}, {4}};
  EXPECT_EQ(count_micro_batches(sequences, 2), 3);
  EXPECT_EQ(count_micro_batches({}, 2), 0);
  EXPECT_EQ(sequences_of(sequences, 1, 2).front(), Sequence{2});
  EXPECT_EQ(sequences_of(sequences, 2, 2).size(), 1U);
  EXPECT_TRUE(sequences_of(sequences, 3, 2).empty());
}

TEST(MakeMicroBatch, RanksTakeTurnsInRounds) {
  const std::vector<Sample> samples = samples_of({2, 2, 2, 2, 2});
  const std::vector<Sequence> sequences = {{0}, {1}, {2}, {3}, {4}};
  const Deal deal{5, 1, 2, 2};  // rounds: sequences 0 to 3, then 4
  EXPECT_EQ(deal.rounds(), 2);
  const auto of_rank_1 = sequences_of_round(deal, sequences, 1, 0);
  ASSERT_EQ(of_rank_1.size(), 2U);
  EXPECT_EQ(of_rank_1[0].front(), Sequence{1});
  EXPECT_EQ(of_rank_1[1].front(), Sequence{3});
  EXPECT_EQ(sequences_of_round(deal, sequences, 0, 1).size(), 1U);
  const auto none = sequences_of_round(deal, sequences, 1, 1);
  EXPECT_TRUE(none.empty());
  const std::vector<MicroBatch> served = make_micro_batches(none, samples);  // the rank joins gathers
  ASSERT_EQ(served.size(), 1U);
  EXPECT_EQ(served.front().tokens(), 0);
}

TEST(MakeMicroBatch, VirtualTokensComeBeforeEverySample) {
  auto samples = samples_of({2, 2});
  const std::vector<std::int32_t> labels = {-100, 1};
  samples[0].labels = labels;
  const std::vector<Sequence> sequences = {{0, 1}};
  VirtualTokens virtual_tokens{VirtualPlace::input, 3, {}};
  const MicroBatch batch = make_micro_batch(sequences, samples, virtual_tokens);
  EXPECT_EQ(batch.virtual_tokens, 3);
  EXPECT_EQ(batch.ids, (std::vector<std::int32_t>{-1, -1, -1, 0, 1, -1, -1, -1, 10, 11}));
  EXPECT_EQ(batch.targets, (std::vector<std::int32_t>{-100, -100, -100, 1, -100, -100, -100, 10, 11, -100}));
  EXPECT_EQ(batch.positions, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 0, 1, 2, 3, 4}));
  EXPECT_EQ(batch.cu_seqlens, (std::vector<std::int32_t>{0, 5, 10}));
  EXPECT_EQ(target_tokens(samples[0], virtual_tokens), 1);
  EXPECT_EQ(target_tokens(samples[1], virtual_tokens), 2);
  virtual_tokens.place = VirtualPlace::keys_and_values;  // whose hidden states predict nothing
  EXPECT_EQ(make_micro_batch(sequences, samples, virtual_tokens).targets[7], -100);
  EXPECT_EQ(target_tokens(samples[1], virtual_tokens), 1);
}

}  // namespace
}  // namespace lora_dist::make_micro_batch_test
