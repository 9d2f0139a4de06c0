// Bottleneck adapters: gradients compared with finite differences; recomputation.
#include <gtest/gtest.h>

#include <cmath>

#include "src/comm/single_rank.h"
#include "tests/support/model_fixture.h"
#include "tests/support/random_floats.h"

namespace lora_dist::bottleneck_test {
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

struct Variant {
  const char* family;
  BottleneckPlacement placement;
  Activation activation;
  float scale;
};

AdapterSpec spec_for(const Variant& variant) {
  AdapterSpec spec;
  spec.method = &bottleneck_method();
  spec.bottleneck = {variant.placement, variant.activation, variant.scale, 3};
  return spec;
}

std::vector<float> some_values(std::size_t count) {
  return testing_support::random_floats(static_cast<std::int64_t>(count), 1, 0.3F);
}

std::vector<float> gradient_of(const Variant& variant, Recompute recompute) {
  const auto comm = make_single_rank();
  const AdapterSpec spec = spec_for(variant);
  OpenedModel opened(source(std::string("tests/golden/families/") + variant.family), {Quantization::none}, *comm, 64, recompute,
                     &spec);
  const std::vector<float> at = some_values(opened.params.size());
  std::copy(at.begin(), at.end(), opened.params.begin());
  std::vector<float> grads(opened.params.size(), NAN);
  test::loss_and_gradient(opened.transformer(), small_batch(), {}, 1.0F, grads);
  return grads;
}

class BottleneckGradients : public testing::TestWithParam<Variant> {};

TEST_P(BottleneckGradients, GradientsEqualFiniteDifferences) {
  const Variant& variant = GetParam();
  const auto comm = make_single_rank();
  const AdapterSpec spec = spec_for(variant);
  OpenedModel opened(source(std::string("tests/golden/families/") + variant.family), {Quantization::none}, *comm, 64,
                     Recompute::block, &spec);
  const std::vector<float> at = some_values(opened.params.size());
  const std::vector<float> directions = testing_support::random_floats(static_cast<std::int64_t>(at.size()), 2);
  const std::vector<float> grads = gradient_of(variant, Recompute::block);
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

TEST_P(BottleneckGradients, RecomputationGivesTheSameBits) {
  const std::vector<float> first = gradient_of(GetParam(), Recompute::none);
  EXPECT_EQ(gradient_of(GetParam(), Recompute::selective), first);
  EXPECT_EQ(gradient_of(GetParam(), Recompute::block), first);
}

// GPT-2's blocks have biases, Gemma 2 and EXAONE 4 a norm after each half, Granite scales what a half adds.
INSTANTIATE_TEST_SUITE_P(Models, BottleneckGradients,
                         testing::Values(Variant{"llama3", BottleneckPlacement::pfeiffer, Activation::gelu_erf, 1.0F},
                                         Variant{"llama3", BottleneckPlacement::houlsby, Activation::silu, 1.0F},
                                         Variant{"llama3", BottleneckPlacement::parallel, Activation::gelu_tanh, 4.0F},
                                         Variant{"gpt2", BottleneckPlacement::houlsby, Activation::silu, 0.5F},
                                         Variant{"gemma2", BottleneckPlacement::houlsby, Activation::silu, 1.0F},
                                         Variant{"exaone4_global", BottleneckPlacement::pfeiffer, Activation::silu, 1.0F},
                                         Variant{"granite", BottleneckPlacement::houlsby, Activation::silu, 1.0F},
                                         Variant{"granite", BottleneckPlacement::parallel, Activation::silu, 4.0F}),
                         [](const auto& info) {
                           return std::string(info.param.family) + "_" +
                                  std::string(word_of(kBottleneckPlacements, info.param.placement));
                         });

}  // namespace
}  // namespace lora_dist::bottleneck_test
