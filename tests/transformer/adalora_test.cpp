// AdaLoRA through the hooks of the adapter methods: gradients compared with finite differences, with and without dropout;
// recomputation.
#include <gtest/gtest.h>

#include "tests/transformer/linear_method_gradients.h"

namespace lora_dist::adalora_test {
namespace {

using test::number;
using test::OpenedModel;
using test::small_batch;
using test::source;
using test::TestBatch;

/// A tiny model with AdaLoRA on every linear.
struct AdaLoraModel {
  AdaLoraModel(const std::string& family, Communicator& comm, float dropout, Recompute recompute)
      : spec{5, 1.0, static_cast<double>(dropout), false, {"all-linear"}, &adalora_method()},
        opened(source("tests/golden/families/" + family), {Quantization::none}, comm, 64, recompute, &spec) {
    for (std::size_t i = 0; i < opened.params.size(); ++i) {
      opened.params[i] = number(i, 1);
    }
  }

  double loss(const TestBatch& batch, const StepDropout& dropout, std::vector<float>& grads) const {
    return test::loss_and_gradient(opened.transformer(), batch, dropout, 1.0F, grads);
  }

  AdapterSpec spec;
  OpenedModel opened;
};

class AdaLoraGradients : public testing::TestWithParam<const char*> {};

TEST_P(AdaLoraGradients, GradientsEqualFiniteDifferences) {
  test::expect_gradients_of_finite_differences<AdaLoraModel>(GetParam());
}
TEST_P(AdaLoraGradients, RecomputationGivesTheSameBits) { test::expect_same_bits_recomputed<AdaLoraModel>(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Models, AdaLoraGradients, testing::Values("llama3", "gpt2"),
                         [](const auto& info) { return std::string(info.param); });

/// Without singular values the model is the base.
TEST(AdaLora, StartsAsTheBase) {
  const auto comm = make_single_rank();
  AdaLoraModel model("llama3", *comm, 0.0F, Recompute::block);
  initialize_adapters(model.opened.layout, 42, model.opened.params);
  const OpenedModel base(source("tests/golden/families/llama3"), {Quantization::none}, *comm, 64);
  const double expected = test::loss_of(base.transformer(), small_batch());
  EXPECT_NEAR(test::loss_of(model.opened.transformer(), small_batch()), expected, 1e-6 * expected);  // sums of fp32
}

}  // namespace
}  // namespace lora_dist::adalora_test
