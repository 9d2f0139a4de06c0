// LoRA over weights without the update of its initial factors (PiSSA, OLoRA): gradients compared with finite differences, with
// and without dropout; recomputation.
#include <gtest/gtest.h>

#include "tests/transformer/linear_method_gradients.h"

namespace lora_dist::residual_lora_test {
namespace {

using test::number;
using test::OpenedModel;
using test::small_batch;
using test::source;
using test::TestBatch;

/// A tiny model with residual LoRA on every linear.
struct ResidualModel {
  ResidualModel(const std::string& family, Communicator& comm, float dropout, Recompute recompute)
      : spec(spec_with(dropout)),
        opened(source("tests/golden/families/" + family), {Quantization::none}, comm, 64, recompute, &spec) {
    for (std::size_t i = 0; i < opened.params.size(); ++i) {
      opened.params[i] = number(i, 1);
      initial.push_back(number(i, 3));
    }
  }

  static AdapterSpec spec_with(float dropout) {
    AdapterSpec spec{5, 1.0, static_cast<double>(dropout), false, {"all-linear"}};
    spec.init = LoraInit::pissa;
    return spec;
  }

  ForwardContext context() const {
    ForwardContext model = opened.transformer();
    model.initial = initial;
    return model;
  }

  double loss(const TestBatch& batch, const StepDropout& dropout, std::vector<float>& grads) const {
    return test::loss_and_gradient(context(), batch, dropout, 1.0F, grads);
  }

  AdapterSpec spec;
  OpenedModel opened;
  std::vector<float> initial;
};

class ResidualGradients : public testing::TestWithParam<const char*> {};

TEST_P(ResidualGradients, GradientsEqualFiniteDifferences) {
  test::expect_gradients_of_finite_differences<ResidualModel>(GetParam());
}
TEST_P(ResidualGradients, RecomputationGivesTheSameBits) { test::expect_same_bits_recomputed<ResidualModel>(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Models, ResidualGradients, testing::Values("llama3", "gpt2"),
                         [](const auto& info) { return std::string(info.param); });

/// The update of the initial factors is taken out, and that of equal parameters put back.
TEST(ResidualLora, StartsAsTheBase) {
  const auto comm = make_single_rank();
  ResidualModel model("llama3", *comm, 0.0F, Recompute::block);
  model.opened.params = model.initial;
  const OpenedModel base(source("tests/golden/families/llama3"), {Quantization::none}, *comm, 64);
  const double expected = test::loss_of(base.transformer(), small_batch());
  EXPECT_NEAR(test::loss_of(model.context(), small_batch()), expected, 1e-5 * expected);  // sums of fp32
}

}  // namespace
}  // namespace lora_dist::residual_lora_test
