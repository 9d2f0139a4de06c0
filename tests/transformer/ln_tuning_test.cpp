// Trained norms: gradients compared with finite differences; recomputation.
#include <gtest/gtest.h>

#include <cmath>

#include "src/comm/single_rank.h"
#include "tests/support/model_fixture.h"
#include "tests/support/random_floats.h"

namespace lora_dist::ln_tuning_test {
namespace {

using test::OpenedModel;
using test::source;
using test::TestBatch;

TestBatch small_batch() {
  TestBatch batch;
  batch.add({1, 40, 47, 26, 78, 27, 60, 29, 44, 12}, {1, 40, 47, 26, 78, 27, 60, 29, 44, 12});
  batch.add({1, 90, 33, 50, 71, 22}, {1, -100, -100, 50, 71, 22});
  return batch;
}

/// Every norm of the family.
AdapterSpec spec_for(const std::string& family) {
  const ModelSpec model = read_model_config(source("tests/golden/families/" + family));
  AdapterSpec spec;
  spec.method = &ln_tuning_method();
  spec.target_modules = norm_names(*model.family, all_norms(model), model.layers);
  return spec;
}

std::vector<float> some_norms(std::size_t count) {
  std::vector<float> values = testing_support::random_floats(static_cast<std::int64_t>(count), 1, 0.5F);
  for (float& value : values) {
    value += 1.0F;
  }
  return values;
}

std::vector<float> gradient_of(const std::string& family, Recompute recompute) {
  const auto comm = make_single_rank();
  const AdapterSpec spec = spec_for(family);
  OpenedModel opened(source("tests/golden/families/" + family), {Quantization::none}, *comm, 64, recompute, &spec);
  const std::vector<float> at = some_norms(opened.params.size());
  std::copy(at.begin(), at.end(), opened.params.begin());
  std::vector<float> grads(opened.params.size(), NAN);
  test::loss_and_gradient(opened.transformer(), small_batch(), {}, 1.0F, grads);
  return grads;
}

class LnTuning : public testing::TestWithParam<const char*> {};

TEST_P(LnTuning, GradientsEqualFiniteDifferences) {
  const std::string family = GetParam();
  const auto comm = make_single_rank();
  const AdapterSpec spec = spec_for(family);
  OpenedModel opened(source("tests/golden/families/" + family), {Quantization::none}, *comm, 64, Recompute::block, &spec);
  const std::vector<float> at = some_norms(opened.params.size());
  const std::vector<float> directions = testing_support::random_floats(static_cast<std::int64_t>(at.size()), 2);
  const std::vector<float> grads = gradient_of(family, Recompute::block);
  const TestBatch batch = small_batch();
  for (const auto& [path, parameter] : named_parameters(opened.layout)) {
    double expected = 0.0;
    const auto begin = static_cast<std::size_t>(parameter.offset);
    const std::size_t end = begin + static_cast<std::size_t>(parameter.shape.count());
    for (std::size_t i = begin; i < end; ++i) {
      expected += static_cast<double>(grads[i]) * static_cast<double>(directions[i]);
    }
    const auto loss_at = [&](float step) {
      std::copy(at.begin(), at.end(), opened.params.begin());
      for (std::size_t i = begin; i < end; ++i) {
        opened.params[i] += step * directions[i];
      }
      return test::loss_of(opened.transformer(), batch);
    };
    constexpr float kStep = 0.02F;
    // Five points, error h^4: the rounding of an fp32 loss of some 70 nats over the step remains.
    const double slope = (8.0 * (loss_at(kStep) - loss_at(-kStep)) - (loss_at(2.0F * kStep) - loss_at(-2.0F * kStep))) /
                         (12.0 * static_cast<double>(kStep));
    EXPECT_NEAR(slope, expected, 5e-3 * std::abs(expected) + 1e-2) << path << " " << parameter.name;
  }
}

TEST_P(LnTuning, RecomputationGivesTheSameBits) {
  const std::vector<float> first = gradient_of(GetParam(), Recompute::none);
  EXPECT_EQ(gradient_of(GetParam(), Recompute::selective), first);
  EXPECT_EQ(gradient_of(GetParam(), Recompute::block), first);
}

// RMSNorm; LayerNorm with biases; (1 + w) before and after; after alone; one norm for both halves, without bias; parallel halves.
INSTANTIATE_TEST_SUITE_P(Models, LnTuning,
                         testing::Values("llama3", "gpt2", "gemma2", "exaone4_global", "cohere2", "gpt_neox_parallel"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lora_dist::ln_tuning_test
