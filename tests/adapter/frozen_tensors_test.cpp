// VeRA's projections: PEFT's numbers, and folders that do not fit the model.
#include "src/adapter/frozen_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/adapter/vera_folder.h"
#include "tests/support/scratch.h"

namespace lora_dist::frozen_tensors_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PeftConfig config_with(std::int64_t key) {
  PeftConfig config;
  config.method = Method::vera;
  config.r = 2;
  config.projection_key = key;
  return config;
}

/// torch.empty(2, 6).uniform_(-1, 1, generator=torch.Generator().manual_seed(1234567)) for columns whose bound is 1, then
/// torch.empty(3, 2) from the same generator.
TEST(Projections, AreThoseOfTorch) {
  const SharedTensors drawn = draw_projections(config_with(1234567), 6, 3);
  const AdapterMatrix& a = drawn.at("vera_A");
  EXPECT_THAT(a.shape, ElementsAre(2, 6));
  EXPECT_THAT(drawn.at("vera_B").shape, ElementsAre(3, 2));
  EXPECT_FLOAT_EQ(a.values[0], 0.35893476F);
  EXPECT_FLOAT_EQ(a.values[1], -0.83036816F);
  EXPECT_FLOAT_EQ(a.values[2], 0.9159684F);
  EXPECT_EQ(draw_projections(config_with(1234567 + (std::int64_t{1} << 32)), 6, 3).at("vera_A").values, a.values);
}

/// Two linears of different sizes share corners of both projections.
TEST(FrozenValues, AreCornersOfTheSharedTensors) {
  AdapterLayout layout;
  layout.method = &vera_method();
  layout.blocks.resize(2);
  for (const std::size_t layer : {0U, 1U}) {
    add_linear(layout, layer, Linear::q, {2, 3, 2}, 1.0F);
    add_linear(layout, layer, Linear::down, {3, 2, 2}, 1.0F);
  }
  EXPECT_EQ(layout.frozen.size(), 4U);
  EXPECT_EQ(layout.frozen_count, 2 * 2 + 3 * 2 + 2 * 3 + 2 * 2);
  AdapterShard whole;
  whole.layout = layout;
  const SharedTensors shared = {{"vera_A", {{2, 3}, {1, 2, 3, 4, 5, 6}}}, {"vera_B", {{3, 2}, {7, 8, 9, 10, 11, 12}}}};
  EXPECT_THAT(frozen_values(layout, whole, shared), ElementsAre(1, 2, 4, 5, 7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_EQ(shared_bytes(layout), 12 * 4);
  const auto problem = thrown_by([&] {
    shared_tensors(layout, config_with(0), {{"vera_A", {{2, 2}, {}}}, {"vera_B", {{3, 2}, {}}}}, "folder");
  });
  EXPECT_EQ(problem.code, ExitCode::model);
  EXPECT_THAT(problem.message, HasSubstr("folder: vera_A is [2, 2], and a layer of this model needs [2, 3]; the adapter belongs "
                                         "to another model"));
}

}  // namespace
}  // namespace lora_dist::frozen_tensors_test
