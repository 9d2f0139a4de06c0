// AdaLoRA's budget against numbers of PEFT's schedule, and the gradient of the orthogonality against finite differences.
#include "src/adapter/adalora_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "src/adapter/adalora_folder.h"
#include "src/adapter/adapter_layout.h"
#include "src/model/family.h"

namespace lora_dist::adalora_step_test {
namespace {

using testing::ElementsAre;

/// RankAllocator.budget_schedule of PEFT for 7 modules of 6 ranks, then 2.
TEST(RanksAt, FollowTheCubicSchedule) {
  const AdaLoraOptions options{.init_r = 6, .target_r = 2, .tinit = 2, .tfinal = 3};
  std::vector<std::int64_t> ranks;
  for (std::int64_t step = 1; step <= 12; ++step) {
    ranks.push_back(ranks_at(options, step, 12, 42, 14));
  }
  EXPECT_THAT(ranks, ElementsAre(42, 42, 31, 24, 19, 16, 14, 14, 14, 14, 14, 14));
}

/// Two modules over three inputs and four outputs.
struct TwoModules {
  explicit TwoModules(std::int64_t r) {
    layout.method = &adalora_method();
    layout.blocks.resize(2);
    add_linear(layout, 0, Linear::q, {3, 4, r}, 1.0F);
    add_linear(layout, 1, Linear::v, {3, 4, r}, 1.0F);
    memory = take_adalora_memory(layout, arena);
    params.resize(static_cast<std::size_t>(layout.count));
    grads.assign(params.size(), 0.0F);
    for (std::size_t i = 0; i < params.size(); ++i) {
      params[i] = std::sin(static_cast<float>(i * i + 1));
    }
  }

  MethodStep step(std::int64_t at, std::int64_t total) {
    return {layout, params, grads, memory, options, budget, at, total, Stream{}};
  }

  AdapterLayout layout;
  Arena arena;
  StepMemory memory;
  AdaLoraOptions options{.init_r = 2, .target_r = 1};
  RankBudget budget;
  std::vector<float> params;
  std::vector<float> grads;
};

TEST(Orthogonality, GradientEqualsFiniteDifferences) {
  TwoModules two(2);
  const RegularizationLoss own = add_orthogonality(two.step(1, 10));
  const std::vector<float> gradient = two.grads;
  double squares = 0.0;
  for (std::size_t i = 0; i < two.params.size(); ++i) {
    constexpr float kStep = 1e-2F;
    const float at = two.params[i];
    two.params[i] = at + kStep;
    const double above = add_orthogonality(two.step(1, 10)).loss;
    two.params[i] = at - kStep;
    const double below = add_orthogonality(two.step(1, 10)).loss;
    two.params[i] = at;
    EXPECT_NEAR(static_cast<double>(gradient[i]), (above - below) / (2.0 * static_cast<double>(kStep)), 1e-3) << i;
    squares += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
  }
  EXPECT_GT(squares, 1e-2);
  EXPECT_NEAR(own.squared_norm, squares, 1e-5 * squares);
}

TEST(Orthogonality, OfOrthonormalFactorsIsZero) {
  TwoModules two(2);
  std::fill(two.params.begin(), two.params.end(), 0.0F);
  for (const auto& block : two.layout.blocks) {
    for (const auto& linear : block) {
      if (linear) {
        two.params[static_cast<std::size_t>(linear->parameters[0].offset)] = 1.0F;      // A's first row is the first unit vector
        two.params[static_cast<std::size_t>(linear->parameters[0].offset + 4)] = 1.0F;  // the second row the second
        two.params[static_cast<std::size_t>(linear->parameters[1].offset)] = 1.0F;      // so B's columns
        two.params[static_cast<std::size_t>(linear->parameters[1].offset + 3)] = 1.0F;
      }
    }
  }
  EXPECT_EQ(add_orthogonality(two.step(1, 10)).loss, 0.0);
  EXPECT_THAT(two.grads, testing::Each(0.0F));
}

/// The rank whose gradient is largest stays; the choice of the last step is kept and applied again.
TEST(ChooseRanks, KeepsTheMostImportant) {
  TwoModules two(2);
  std::fill(two.params.begin(), two.params.end(), 1.0F);
  const auto value_of_e = [&](std::size_t layer, Linear linear) {
    return static_cast<std::size_t>(two.layout.blocks[layer][index_of(linear)]->parameters[2].offset);
  };
  two.grads[value_of_e(0, Linear::q) + 1] = 3.0F;
  two.grads[value_of_e(1, Linear::v)] = 2.0F;
  two.grads[value_of_e(1, Linear::v) + 1] = 1.0F;
  choose_ranks(two.step(1, 3));  // int(2 * (2 / 3)^3 + 2) ranks of 4
  EXPECT_THAT(two.budget.kept, ElementsAre(false, true, true, false));
  EXPECT_FALSE(two.budget.final);
  EXPECT_EQ(two.params[value_of_e(0, Linear::q)], 0.0F);
  EXPECT_EQ(two.params[value_of_e(0, Linear::q) + 1], 1.0F);
  two.options.tfinal = 1;
  choose_ranks(two.step(2, 3));
  EXPECT_TRUE(two.budget.final);
  two.params[value_of_e(0, Linear::q)] = 5.0F;  // an update of the last steps
  two.grads.assign(two.grads.size(), 100.0F);
  choose_ranks(two.step(3, 3));
  EXPECT_THAT(two.budget.kept, ElementsAre(false, true, true, false));
  EXPECT_EQ(two.params[value_of_e(0, Linear::q)], 0.0F);
}

/// Rows of A and E and columns of B.
TEST(KeptTensors, AreSlices) {
  TwoModules two(2);
  two.layout.family = find_family("llama");
  two.budget.kept = {false, true, false, false};
  PeftConfig peft;
  const KeptTensors kept = kept_tensors(two.layout, two.budget, two.params, peft);
  ASSERT_EQ(kept.tensors.size(), 6U);
  EXPECT_THAT(kept.tensors[0].shape, ElementsAre(1, 3));
  EXPECT_THAT(kept.tensors[1].shape, ElementsAre(4, 1));
  EXPECT_THAT(kept.tensors[2].shape, ElementsAre(1, 1));
  EXPECT_THAT(kept.tensors[3].shape, ElementsAre(0, 3));
  EXPECT_THAT(kept.tensors[4].shape, ElementsAre(4, 0));
  const std::vector<float>& p = two.params;
  EXPECT_THAT(kept.values, ElementsAre(p[3], p[4], p[5], p[7], p[9], p[11], p[13], p[15]));
  EXPECT_EQ(peft.kept_ranks.size(), 2U);
}

}  // namespace
}  // namespace lora_dist::adalora_step_test
