// Objectives as functions of the token losses: values, weights of tokens, gradients compared with finite differences.
#include "src/transformer/objective.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/comm/single_rank.h"
#include "tests/support/model_fixture.h"

namespace lora_dist::objective_test {
namespace {

using test::OpenedModel;
using test::source;
using test::TestBatch;

TestBatch two_answers() {
  TestBatch batch;
  batch.add({1, 403, 407, 261, 378, 270}, {-100, -100, 407, 261, 378, 270});  // four losses
  batch.add({1, 403, 500, 271}, {-100, -100, 500, 271});                      // two
  return batch;
}

/// -log sigmoid(0.5 * (loss of the second answer - loss of the first)): prefers the first.
double preference(const MicroBatch& batch, std::span<const float> token_loss, std::span<float> weights) {
  EXPECT_EQ(static_cast<std::int64_t>(token_loss.size()), batch.target_tokens());
  double margin = 0.0;
  for (std::size_t i = 0; i < token_loss.size(); ++i) {
    margin += (i < 4 ? -0.5 : 0.5) * static_cast<double>(token_loss[i]);
  }
  const double slope = -1.0 / (1.0 + std::exp(margin));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<float>((i < 4 ? -0.5 : 0.5) * slope);
  }
  return std::log1p(std::exp(-margin));
}

struct Outcome {
  double value = 0.0;
  std::vector<float> grads;
};

Outcome outcome_of(OpenedModel& opened, const TestBatch& batch, const Objective& objective) {
  Outcome outcome;
  outcome.grads.assign(opened.params.size(), NAN);
  const MicroBatch& one = batch;
  const std::span<float> grads(outcome.grads);
  outcome.value = forward_backward(opened.transformer(), {&one, 1}, objective, {}, {&grads, 1}).front();
  return outcome;
}

struct ObjectiveTest : testing::Test {
  ObjectiveTest() : opened(source("demo/model"), {Quantization::nf4}, *comm, 64, Recompute::block, &spec) {
    for (std::size_t i = 0; i < opened.params.size(); ++i) {
      opened.params[i] = 0.1F * std::sin(static_cast<float>(7 * i));
    }
  }
  AdapterSpec spec{4, 8.0, 0.0, false, {"all-linear"}};
  std::unique_ptr<Communicator> comm = make_single_rank();
  OpenedModel opened;
};

TEST_F(ObjectiveTest, WeightsOfOneAreTheSum) {
  const auto sum = [](const MicroBatch&, std::span<const float> losses, std::span<float> weights) {
    std::fill(weights.begin(), weights.end(), 1.0F);
    return sum_of_losses(losses);
  };
  const TestBatch batch = two_answers();
  const Outcome plain = outcome_of(opened, batch, {0.25F});
  const Outcome weighted = outcome_of(opened, batch, {0.25F, sum});
  EXPECT_EQ(weighted.value, plain.value);
  EXPECT_EQ(weighted.grads, plain.grads);
}

TEST_F(ObjectiveTest, GradientEqualsFiniteDifferences) {
  const TestBatch batch = two_answers();
  const Objective objective{1.0F, preference};
  const std::vector<float> at = opened.params;
  const Outcome outcome = outcome_of(opened, batch, objective);
  EXPECT_GT(outcome.value, 0.0);
  double norm = 0.0;
  for (const float g : outcome.grads) {
    norm += static_cast<double>(g) * static_cast<double>(g);
  }
  norm = std::sqrt(norm);
  ASSERT_GT(norm, 0.0);
  constexpr double kStep = 5e-3;
  const auto value_at = [&](double step) {
    for (std::size_t i = 0; i < at.size(); ++i) {
      opened.params[i] = at[i] + static_cast<float>(step * static_cast<double>(outcome.grads[i]) / norm);
    }
    return outcome_of(opened, batch, objective).value;
  };
  const double slope = (value_at(kStep) - value_at(-kStep)) / (2.0 * kStep);
  EXPECT_NEAR(slope, norm, 0.01 * norm + 2e-3);  // token losses of size 10 in fp32, and the cubic term
}

}  // namespace
}  // namespace lora_dist::objective_test
