// IA3 through the hooks of the adapter methods: gradients compared with finite differences; recomputation and TP.
#include <gtest/gtest.h>

#include <cmath>

#include "src/comm/single_rank.h"
#include "tests/support/model_fixture.h"

namespace lora_dist::ia3_test {
namespace {

using test::OpenedModel;
using test::source;
using test::TestBatch;

/// A number between -0.5 and 0.5.
float number(std::size_t i, std::uint32_t seed) {
  std::uint32_t state = static_cast<std::uint32_t>(i) * 2654435761U + seed;
  state = (state ^ (state >> 16)) * 2246822519U;
  return static_cast<float>(state >> 8) * 0x1p-24F - 0.5F;
}

TestBatch small_batch() {
  TestBatch batch;
  batch.add({1, 40, 47, 26, 78, 27, 60, 29, 44, 12}, {1, 40, 47, 26, 78, 27, 60, 29, 44, 12});
  batch.add({1, 90, 33, 50, 71, 22}, {1, -100, -100, 50, 71, 22});
  return batch;
}

/// Every linear is adapted; up and down are feed-forward, the others are not. GPT-2 has biases.
AdapterSpec spec_for(const std::string& family) {
  AdapterSpec spec;
  spec.method = &ia3_method();
  spec.target_modules = {"all-linear"};
  spec.feedforward_modules =
      family == "gpt2" ? std::vector<std::string>{"mlp.c_fc", "mlp.c_proj"} : std::vector<std::string>{"up_proj", "down_proj"};
  return spec;
}

std::vector<float> gradient_of(const std::string& family, Recompute recompute) {
  const auto comm = make_single_rank();
  const AdapterSpec spec = spec_for(family);
  OpenedModel opened(source("tests/golden/families/" + family), {Quantization::none}, *comm, 64, recompute, &spec);
  for (std::size_t i = 0; i < opened.params.size(); ++i) {
    opened.params[i] = 1.0F + number(i, 1);
  }
  std::vector<float> grads(opened.params.size(), NAN);
  test::loss_and_gradient(opened.transformer(), small_batch(), {}, 1.0F, grads);
  return grads;
}

class Ia3 : public testing::TestWithParam<const char*> {};

TEST_P(Ia3, GradientsEqualFiniteDifferences) {
  const std::string family = GetParam();
  const auto comm = make_single_rank();
  const AdapterSpec spec = spec_for(family);
  OpenedModel opened(source("tests/golden/families/" + family), {Quantization::none}, *comm, 64, Recompute::block, &spec);
  std::vector<float> at(opened.params.size());
  for (std::size_t i = 0; i < at.size(); ++i) {
    at[i] = 1.0F + number(i, 1);
  }
  const std::vector<float> grads = gradient_of(family, Recompute::block);
  const TestBatch batch = small_batch();
  for (const auto& [path, parameter] : named_parameters(opened.layout)) {
    double expected = 0.0;
    std::vector<float> direction(at.size(), 0.0F);
    for (std::int64_t i = parameter.offset; i < parameter.offset + parameter.shape.count(); ++i) {
      const auto e = static_cast<std::size_t>(i);
      direction[e] = number(e, 2);
      expected += static_cast<double>(grads[e]) * static_cast<double>(direction[e]);
    }
    const auto loss_at = [&](float step) {
      for (std::size_t i = 0; i < at.size(); ++i) {
        opened.params[i] = at[i] + step * direction[i];
      }
      return test::loss_of(opened.transformer(), batch);
    };
    constexpr float kStep = 0.02F;
    // Five points, error h^4: the rounding of an fp32 loss of some 70 nats over the step remains.
    const double slope = (8.0 * (loss_at(kStep) - loss_at(-kStep)) - (loss_at(2.0F * kStep) - loss_at(-2.0F * kStep))) /
                         (12.0 * static_cast<double>(kStep));
    EXPECT_NEAR(slope, expected, 5e-3 * std::abs(expected) + 1e-2) << path;
  }
}

TEST_P(Ia3, RecomputationGivesTheSameBits) {
  const std::vector<float> first = gradient_of(GetParam(), Recompute::none);
  EXPECT_EQ(gradient_of(GetParam(), Recompute::selective), first);
  EXPECT_EQ(gradient_of(GetParam(), Recompute::block), first);
}

INSTANTIATE_TEST_SUITE_P(Models, Ia3, testing::Values("llama3", "gpt2"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lora_dist::ia3_test
