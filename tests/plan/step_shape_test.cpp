// The division of a global batch.
#include "src/plan/step_shape.h"

#include <gtest/gtest.h>

#include <string>

#include "src/core/error.h"

namespace lora_dist::step_shape_test {
namespace {

TEST(StepShape, FullSequencesUnlessItIsSaidOtherwise) {
  Config config;
  config.train.global_batch = 7;
  config.train.micro_batch = 2;
  StepShape step = step_shape(config, {});
  EXPECT_EQ(step.tokens(), 7 * 1024);
  EXPECT_EQ(step.targets(), 7 * 1023);
  EXPECT_EQ(step.micro_batches(), 4);
  EXPECT_EQ(step.full_micro_batches(), 3);
  EXPECT_EQ(step.rest(), 1);
  EXPECT_EQ(step.rounds(1), 4);
  EXPECT_EQ(step.rounds(3), 2);
  EXPECT_EQ(step.rounds(4096), 1);
  PlanOptions options;
  options.tokens_per_sample = 100;
  step = step_shape(config, options);
  EXPECT_EQ(step.samples_of_sequence, 10);
  EXPECT_EQ(step.targets(), 7 * (1024 - 10));
  config.data.packing = false;
  step = step_shape(config, options);
  EXPECT_EQ(step.sequence_tokens, 100);
  EXPECT_EQ(step.samples_of_sequence, 1);
}

/// Micro-batches 0 to 6 on 2 data ranks, 3 in flight: {0 2 4} {6} and {1 3 5}.
TEST(StepShape, AllOfAWalkButTheLastAreRecomputed) {
  StepShape step;
  step.sequences = 7;
  step.micro_batch = 1;
  step.micro_batches_in_flight = 3;
  EXPECT_EQ(step.walks(2), 2);
  EXPECT_EQ(step.recomputed_last(2), 2 + 0 + 2);
  EXPECT_EQ(step.recomputed_last(7), 0);
}

TEST(StepShape, ErrorsNameTheOption) {
  const auto message = [](std::int64_t of_sample, std::int64_t of_sequence) {
    PlanOptions options;
    options.tokens_per_sample = of_sample;
    options.tokens_per_sequence = of_sequence;
    try {
      step_shape(Config{}, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message(0, 2000), "--tokens-per-sequence 2000 is more than data.max_length (1024) allows");
  EXPECT_EQ(message(2000, 0), "--tokens-per-sample 2000 is more than a sequence has (data.max_length 1024)");
  EXPECT_EQ(message(600, 500), "--tokens-per-sample 600 is more than a sequence has (--tokens-per-sequence 500)");
}

}  // namespace
}  // namespace lora_dist::step_shape_test
