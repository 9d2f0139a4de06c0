// AdamW against torch.optim.AdamW (tests/golden/adamw.json) and double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/adamw/adamw.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::adamw_test {
namespace {

using namespace testing_support;

struct State {
  std::vector<float> params;
  std::vector<float> m;
  std::vector<float> v;
};

void update(State& state, const std::vector<float>& grads, const AdamWStep& step, const Stream& stream) {
  const Shape shape = {static_cast<std::int64_t>(grads.size())};
  adamw(view(state.params.data(), shape), view(grads.data(), shape), view(state.m.data(), shape), view(state.v.data(), shape),
        step, stream);
}

State zero_state(std::vector<float> params) {
  const std::size_t n = params.size();
  return {std::move(params), std::vector<float>(n), std::vector<float>(n)};
}

TEST(AdamW, EqualsTorch) {
  std::ifstream file(LORA_DIST_SOURCE_DIR "/tests/golden/adamw.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  ASSERT_EQ(golden["runs"].size(), 2U);
  for (const auto& run : golden["runs"]) {
    State state = zero_state(run["start"].get<std::vector<float>>());
    AdamWStep step = {.learning_rate = run["lr"],
                      .beta1 = run["beta1"],
                      .beta2 = run["beta2"],
                      .eps = run["eps"],
                      .weight_decay = run["weight_decay"]};
    for (const auto& expected : run["steps"]) {
      update(state, expected["grad"].get<std::vector<float>>(), step, Stream{});
      ++step.step;
      // The same arithmetic but for what the compiler fuses: one unit per operation.
      EXPECT_LT(error_of(state.params, expected["param"].get<std::vector<double>>()), 2e-7);
      EXPECT_LT(error_of(state.m, expected["m"].get<std::vector<double>>()), 2e-7);
      EXPECT_LT(error_of(state.v, expected["v"].get<std::vector<double>>()), 2e-7);
    }
  }
}

TEST(AdamW, EqualsDouble) {
  const AdamWStep base = {.learning_rate = 1e-2, .weight_decay = 0.05};
  const std::int64_t n = 1003;
  State state = zero_state(random_floats(n, 1));
  std::vector<double> p = as_double(state.params);
  std::vector<double> m(p.size());
  std::vector<double> v(p.size());
  for (int t = 1; t <= 5; ++t) {
    const std::vector<float> grads = random_floats(n, 10 + static_cast<std::uint32_t>(t));
    AdamWStep step = base;
    step.step = t;
    update(state, grads, step, Stream{});
    for (std::size_t i = 0; i < p.size(); ++i) {
      m[i] = step.beta1 * m[i] + (1.0 - step.beta1) * grads[i];
      v[i] = step.beta2 * v[i] + (1.0 - step.beta2) * grads[i] * grads[i];
      p[i] *= 1.0 - step.learning_rate * step.weight_decay;
      p[i] -= step.learning_rate / (1.0 - std::pow(step.beta1, t)) * m[i] /
              (std::sqrt(v[i]) / std::sqrt(1.0 - std::pow(step.beta2, t)) + step.eps);
    }
  }
  // Five steps, each a few units of a parameter of size one.
  EXPECT_LT(error_of(state.params, p), 1e-6);
  EXPECT_LT(error_of(state.m, m), 1e-6);
  EXPECT_LT(error_of(state.v, v), 1e-6);
}

TEST(AdamW, SameBitsOnAnyThreads) {
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    State state = zero_state(random_floats(100001, 1));
    update(state, random_floats(100001, 2), {.learning_rate = 0.1}, stream);
    return join({state.params, state.m, state.v});
  });
}

TEST(AdamW, RefusesWhatTheContractExcludes) {
  State state = zero_state(std::vector<float>(4));
  EXPECT_THROW(update(state, std::vector<float>(4), {.step = 0}, Stream{}), KernelError);
  state.m.resize(3);
  std::vector<float> grads(4);
  EXPECT_THROW(adamw(view(state.params.data(), {4}), view(std::as_const(grads).data(), {4}), view(state.m.data(), {3}),
                     view(state.v.data(), {4}), {}, Stream{}),
               KernelError);
}

}  // namespace
}  // namespace lora_dist::adamw_test
