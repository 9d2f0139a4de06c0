// Several methods in one layout: gradients compared with finite differences, with and without dropout; recomputation.
#include <gtest/gtest.h>

#include "src/adapter/joined_layout.h"
#include "tests/transformer/linear_method_gradients.h"

namespace lora_dist::joined_methods_test {
namespace {

using test::number;
using test::source;
using test::TestBatch;

constexpr std::int32_t kVirtual = 2;

/// LoRA, norms, bottlenecks and a prefix on a tiny model.
std::vector<AdapterLayout> layouts_of(const ModelSpec& spec, float dropout) {
  std::vector<AdapterLayout> layouts;
  AdapterSpec wanted{3, 1.0, static_cast<double>(dropout), false, {"all-linear"}, &lora_method()};
  layouts.push_back(make_adapter_layout(spec, wanted));
  wanted.method = &prefix_method();
  wanted.virtual_tokens = kVirtual;
  layouts.push_back(make_adapter_layout(spec, wanted));
  wanted.method = &ln_tuning_method();
  wanted.target_modules = ln_tuning_method().default_modules(spec).target_modules;
  layouts.push_back(make_adapter_layout(spec, wanted));
  wanted.method = &bottleneck_method();
  wanted.bottleneck = {BottleneckPlacement::pfeiffer, Activation::silu, 1.0F, 3};  // smooth
  layouts.push_back(make_adapter_layout(spec, wanted));
  return layouts;
}

/// The batch with virtual tokens before every sequence.
TestBatch with_virtual_tokens(const TestBatch& batch) {
  TestBatch out;
  out.virtual_tokens = kVirtual;
  for (std::size_t i = 0; i + 1 < batch.cu_seqlens.size(); ++i) {
    std::vector<std::int32_t> ids(kVirtual, kVirtualToken);
    std::vector<std::int32_t> labels(kVirtual + 1, kNotTrained);
    for (auto at = static_cast<std::size_t>(batch.cu_seqlens[i]); at < static_cast<std::size_t>(batch.cu_seqlens[i + 1]); ++at) {
      ids.push_back(batch.ids[at]);
      labels.push_back(batch.targets[at]);
    }
    out.add(ids, labels);
  }
  return out;
}

struct JoinedModel {
  struct Opened {
    AdapterLayout layout;
    std::vector<float> params;
  };

  JoinedModel(const std::string& family, Communicator& comm, float dropout, Recompute recompute)
      : base(source("tests/golden/families/" + family), {Quantization::none}, comm, 64) {
    std::vector<AdapterLayout> layouts = layouts_of(base.spec, dropout);
    opened.layout = join_layouts(layouts);
    for (std::size_t i = 0; i < static_cast<std::size_t>(opened.layout.count); ++i) {
      opened.params.push_back(0.5F * number(i, 1));
    }
    for (const TrainedNorm& norm : opened.layout.norms) {  // near the base's, so that the loss stays smooth
      const Parameter& weight = norm.parameters.front();
      for (std::int64_t i = 0; i < weight.shape.count(); ++i) {
        opened.params[static_cast<std::size_t>(weight.offset + i)] += 1.0F;
      }
    }
    workspace = make_workspace(base.base, opened.layout, {64, 64, true, recompute, dropout > 0.0F}, base.arena, base.stream);
  }

  double loss(const TestBatch& batch, const StepDropout& dropout, std::vector<float>& grads) const {
    const ForwardContext model{&base.base, &opened.layout, base.window.get(), &workspace, opened.params, base.stream};
    return test::loss_and_gradient(model, with_virtual_tokens(batch), dropout, 1.0F, grads);
  }

  test::OpenedModel base;
  Opened opened;
  Workspace workspace;
};

class JoinedGradients : public testing::TestWithParam<const char*> {};

TEST_P(JoinedGradients, GradientsEqualFiniteDifferences) {
  test::expect_gradients_of_finite_differences<JoinedModel>(GetParam());
}
TEST_P(JoinedGradients, RecomputationGivesTheSameBits) { test::expect_same_bits_recomputed<JoinedModel>(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Models, JoinedGradients, testing::Values("llama3", "gpt2"),
                         [](const auto& info) { return std::string(info.param); });

/// Each method has its own part of the buffer, and all of it.
TEST(JoinedLayout, HasEveryElementOnce) {
  const ModelSpec spec = read_model_config(source("tests/golden/families/llama3"));
  std::vector<AdapterLayout> layouts = layouts_of(spec, 0.0F);
  const AdapterLayout joined = join_layouts(layouts);
  std::vector<int> owners(static_cast<std::size_t>(joined.count));
  std::int64_t next = 0;
  for (const auto& [path, parameter] : named_parameters(joined)) {  // updates count on their order
    EXPECT_EQ(parameter.offset, next) << path << " " << parameter.name;
    next += parameter.shape.count();
  }
  EXPECT_EQ(next, joined.count);
  for (const AdapterMethod* method : {&lora_method(), &prefix_method(), &ln_tuning_method(), &bottleneck_method()}) {
    for (const auto& [path, parameter] : named_parameters(layout_of_method(joined, *method))) {
      for (std::int64_t i = 0; i < parameter.shape.count(); ++i) {
        ++owners[static_cast<std::size_t>(parameter.offset + i)];
      }
    }
  }
  EXPECT_EQ(owners, std::vector<int>(owners.size(), 1));
}

}  // namespace
}  // namespace lora_dist::joined_methods_test
