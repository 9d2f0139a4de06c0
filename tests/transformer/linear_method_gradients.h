// The gradients of an adapter method on every linear of a tiny model: compared with finite differences, with and without dropout,
// and with recomputation.
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "src/comm/single_rank.h"
#include "tests/support/model_fixture.h"

namespace lora_dist::test {

/// A number between -0.5 and 0.5.
inline float number(std::size_t i, std::uint32_t seed) {
  std::uint32_t state = static_cast<std::uint32_t>(i) * 2654435761U + seed;
  state = (state ^ (state >> 16)) * 2246822519U;
  return static_cast<float>(state >> 8) * 0x1p-24F - 0.5F;
}

inline TestBatch small_batch() {
  TestBatch batch;
  batch.add({1, 40, 47, 26, 78, 27, 60, 29, 44, 12}, {1, 40, 47, 26, 78, 27, 60, 29, 44, 12});
  batch.add({1, 90, 33, 50, 71, 22}, {1, -100, -100, 50, 71, 22});
  return batch;
}

/// `Model(family, comm, dropout, recompute)` has `opened` and `loss(batch, dropout, grads)`.
template <class Model>
void expect_gradients_of_finite_differences(const char* family) {
  const auto comm = make_single_rank();
  const TestBatch batch = small_batch();
  for (const float p : {0.0F, 0.3F}) {
    Model model(family, *comm, p, Recompute::block);
    const StepDropout dropout{p, 42, 7};
    const std::vector<float> at = model.opened.params;
    std::vector<float> grads(at.size(), NAN);
    std::vector<float> ignored(at.size());
    model.loss(batch, dropout, grads);
    for (const auto& [path, parameter] : named_parameters(model.opened.layout)) {
      double expected = 0.0;
      std::vector<float> direction(at.size(), 0.0F);
      for (std::int64_t i = parameter.offset; i < parameter.offset + parameter.shape.count(); ++i) {
        const auto e = static_cast<std::size_t>(i);
        direction[e] = number(e, 2);
        expected += static_cast<double>(grads[e]) * static_cast<double>(direction[e]);
      }
      const auto loss_at = [&](float step) {
        for (std::size_t i = 0; i < at.size(); ++i) {
          model.opened.params[i] = at[i] + step * direction[i];
        }
        return model.loss(batch, dropout, ignored);
      };
      constexpr float kStep = 0.02F;
      // Five points, error h^4: the rounding of an fp32 loss of some 70 nats over the step remains.
      const double slope = (8.0 * (loss_at(kStep) - loss_at(-kStep)) - (loss_at(2.0F * kStep) - loss_at(-2.0F * kStep))) /
                           (12.0 * static_cast<double>(kStep));
      EXPECT_NEAR(slope, expected, 5e-3 * std::abs(expected) + 1e-2) << path << " " << parameter.name << " dropout " << p;
    }
  }
}

template <class Model>
void expect_same_bits_recomputed(const char* family) {
  const auto comm = make_single_rank();
  std::vector<std::vector<float>> grads;
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::block}) {
    const Model model(family, *comm, 0.3F, recompute);
    grads.emplace_back(model.opened.params.size());
    model.loss(small_batch(), {0.3F, 1, 2}, grads.back());
    EXPECT_EQ(grads.back(), grads.front());
  }
}

}  // namespace lora_dist::test
