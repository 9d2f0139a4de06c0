// DoRA through the hooks of the adapter methods: gradients compared with finite differences, with and without dropout.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "src/comm/single_rank.h"
#include "tests/support/model_fixture.h"

namespace lora_dist::dora_test {
namespace {

using test::OpenedModel;
using test::source;
using test::TestBatch;

/// A number between -0.1 and 0.1.
float number(std::size_t i, std::uint32_t seed) {
  std::uint32_t state = static_cast<std::uint32_t>(i) * 2654435761U + seed;
  state = (state ^ (state >> 16)) * 2246822519U;
  return (static_cast<float>(state >> 8) * 0x1p-24F - 0.5F) * 0.2F;
}

/// The demo model with DoRA on every linear. The magnitudes m are c * n, where n are the row lengths of W + scale * B A: the
/// gradient takes n as constant, so the finite differences must keep c constant.
struct DoraModel {
  DoraModel(Communicator& comm, float dropout, Recompute recompute)
      : spec{4, 8.0, static_cast<double>(dropout), false, {"all-linear"}, &dora_method()},
        opened(source("demo/model"), {Quantization::nf4}, comm, 64, recompute, &spec) {
    for (std::size_t i = 0; i < opened.params.size(); ++i) {
      opened.params[i] = number(i, 1);
    }
    set_magnitudes();
  }

  static float c_of(std::size_t element) { return 1.0F + number(element, 2); }

  void set_magnitudes() {
    for (std::int64_t layer = 0; layer < opened.spec.layers; ++layer) {
      const BlockWeights weights = opened.window->acquire(layer);
      for (const Linear linear : kAllLinears) {
        if (const auto& adapted = opened.layout.blocks[static_cast<std::size_t>(layer)][index_of(linear)]) {
          set_magnitudes_of(*adapted, weights[index_of(linear)]);
        }
      }
      opened.window->release(layer);
    }
  }

  void set_magnitudes_of(const AdaptedLinear& linear, const FrozenWeight& weight) {
    const LinearScratch& scratch = opened.workspace.scratch;
    const float* w = dequantize(weight, scratch.weight, scratch.absmax, opened.stream).as<float>();
    const float* a = opened.params.data() + linear.parameters[0].offset;
    const float* b = opened.params.data() + linear.parameters[1].offset;
    for (std::int64_t row = 0; row < linear.out; ++row) {
      double square = 0.0;
      for (std::int64_t col = 0; col < linear.in; ++col) {
        auto v = static_cast<double>(w[row * linear.in + col]);
        for (std::int64_t i = 0; i < linear.r; ++i) {
          v += static_cast<double>(linear.scale) * static_cast<double>(b[row * linear.r + i]) *
               static_cast<double>(a[i * linear.in + col]);
        }
        square += v * v;
      }
      const auto element = static_cast<std::size_t>(linear.parameters[2].offset + row);
      opened.params[element] = c_of(element) * static_cast<float>(std::sqrt(square));
    }
  }

  /// 1 for elements of magnitudes, 0 for those of A and B.
  std::vector<float> magnitude_mask() const {
    std::vector<float> mask(opened.params.size(), 0.0F);
    for (const auto& [path, parameter] : named_parameters(opened.layout)) {
      if (parameter.name == "lora_magnitude_vector") {
        std::fill_n(mask.begin() + parameter.offset, parameter.shape.count(), 1.0F);
      }
    }
    return mask;
  }

  AdapterSpec spec;
  OpenedModel opened;
};

TestBatch small_batch() {
  TestBatch batch;
  batch.add({1, 403, 407, 261, 378, 270, 400, 290, 44, 12}, {1, 403, 407, 261, 378, 270, 400, 290, 44, 12});
  batch.add({1, 90, 33, 500, 271, 272}, {1, -100, -100, 500, 271, 272});
  return batch;
}

/// The slope of the loss along `direction`; with `hold_scales` the magnitudes follow n.
double slope(DoraModel& model, const TestBatch& batch, const StepDropout& dropout, const std::vector<float>& direction,
             bool hold_scales) {
  constexpr float kStep = 2e-3F;
  const std::vector<float> at = model.opened.params;
  std::vector<float> ignored(at.size());
  const auto loss_at = [&](float step) {
    for (std::size_t i = 0; i < at.size(); ++i) {
      model.opened.params[i] = at[i] + step * direction[i];
    }
    if (hold_scales) {
      model.set_magnitudes();
    }
    return test::loss_and_gradient(model.opened.transformer(), batch, dropout, 1.0F, ignored);
  };
  const double change = loss_at(kStep) - loss_at(-kStep);
  model.opened.params = at;
  return change / (2.0 * static_cast<double>(kStep));
}

TEST(Dora, GradientsEqualFiniteDifferences) {
  const TestBatch batch = small_batch();
  const auto comm = make_single_rank();
  for (const float p : {0.0F, 0.3F}) {
    DoraModel model(*comm, p, Recompute::block);
    const StepDropout dropout{p, 42, 7};
    std::vector<float> grads(model.opened.params.size(), NAN);
    test::loss_and_gradient(model.opened.transformer(), batch, dropout, 1.0F, grads);
    const std::vector<float> mask = model.magnitude_mask();
    for (const bool of_magnitudes : {false, true}) {
      for (std::uint32_t trial = 0; trial < 3; ++trial) {
        double expected = 0.0;
        std::vector<float> direction(grads.size());
        for (std::size_t i = 0; i < grads.size(); ++i) {
          direction[i] = (mask[i] == 1.0F) == of_magnitudes ? number(i, 3 + trial) : 0.0F;
          expected += static_cast<double>(grads[i]) * static_cast<double>(direction[i]);
        }
        // the loss is a sum of fp32 terms of size 10: differences of 1e-5 over a step of 2e-3, and the cubic term
        EXPECT_NEAR(slope(model, batch, dropout, direction, !of_magnitudes), expected, 0.01 * std::abs(expected) + 2e-2)
            << "dropout " << p << (of_magnitudes ? ", magnitudes" : ", factors");
      }
    }
  }
}

/// With B = 0 and the magnitudes of W, the model equals the base.
TEST(Dora, StartsAsTheBase) {
  const TestBatch batch = small_batch();
  const auto comm = make_single_rank();
  DoraModel model(*comm, 0.0F, Recompute::block);
  for (const auto& [path, parameter] : named_parameters(model.opened.layout)) {
    if (parameter.name == "lora_B") {
      std::fill_n(model.opened.params.begin() + parameter.offset, parameter.shape.count(), 0.0F);
    }
  }
  model.set_magnitudes();
  for (const auto& [path, parameter] : named_parameters(model.opened.layout)) {
    for (std::int64_t i = parameter.offset;
         parameter.name == "lora_magnitude_vector" && i < parameter.offset + parameter.shape.count(); ++i) {
      model.opened.params[static_cast<std::size_t>(i)] /= DoraModel::c_of(static_cast<std::size_t>(i));
    }
  }
  const OpenedModel base(source("demo/model"), {Quantization::nf4}, *comm, 64);
  const double expected = test::loss_of(base.transformer(), batch);
  EXPECT_NEAR(test::loss_of(model.opened.transformer(), batch), expected, 1e-6 * expected);  // sums of fp32
}

TEST(Dora, RecomputationGivesTheSameBits) {
  const TestBatch batch = small_batch();
  const auto comm = make_single_rank();
  std::vector<std::vector<float>> grads;
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::block}) {
    DoraModel model(*comm, 0.3F, recompute);
    grads.emplace_back(model.opened.params.size());
    test::loss_and_gradient(model.opened.transformer(), batch, {0.3F, 1, 2}, 1.0F, grads.back());
    EXPECT_EQ(grads.back(), grads.front());
  }
}

}  // namespace
}  // namespace lora_dist::dora_test
