// adapter.target_modules that name modules of some layers only.
#include <gtest/gtest.h>

#include "src/adapter/peft_adapter.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program::targets_test {
namespace {

namespace fs = std::filesystem;

TEST(Targets, OfOneLayerAreTrainedAndSavedAlone) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "first");
  settings["train.max_steps"] = "2";
  settings["adapter.target_modules"] = R"(["model.layers.1.self_attn.q_proj",".*\\.3\\.mlp\\.(up|down)_proj"])";
  expect_success(launch_of(settings, 2));
  const PeftAdapter adapter = read_peft_adapter(scratch / "first/adapter");
  const std::vector<std::string> modules = {"model.layers.1.self_attn.q_proj", "model.layers.3.mlp.down_proj",
                                            "model.layers.3.mlp.up_proj"};
  EXPECT_EQ(adapter.config.target_modules, modules);  // PEFT adapts these three and no others
  EXPECT_EQ(adapter.tensors.size(), 6U);

  settings["adapter.init_from"] = (scratch / "first/adapter").string();
  settings["output.dir"] = (scratch / "second").string();
  expect_success(launch_of(settings, 1));
  EXPECT_EQ(read_peft_adapter(scratch / "second/adapter").config.target_modules, modules);
  settings["adapter.target_modules"] = R"(["q_proj","up_proj","down_proj"])";
  settings["output.dir"] = (scratch / "third").string();
  expect_error(launch_of(settings, 1), 2, {"adapter.target_modules names other layers", modules[0]});
}

/// With recomputation the layers share buffers, without they do not: the same bits.
TEST(Ranks, MayDifferFromLayerToLayer) {
  const Scratch scratch;
  PeftConfig config;
  config.r = 3;
  config.alpha = 6;
  config.target_modules = {"q_proj", "down_proj"};
  config.rank_pattern = {{R"(layers\.[01]\..*)", 5}, {"down_proj", 2}};
  std::vector<AdapterTensor> tensors;
  std::int64_t count = 0;
  for (int layer = 0; layer < 5; ++layer) {
    for (const auto& [module, in] : {std::pair{"self_attn.q_proj", 64}, std::pair{"mlp.down_proj", 172}}) {
      const std::string path = "model.layers." + std::to_string(layer) + "." + module;
      const std::int64_t r = rank_of(config, path);
      EXPECT_EQ(r, layer < 2 ? 5 : in == 64 ? 3 : 2);
      tensors.push_back({path + ".lora_A", {r, in}, count, r * in});
      tensors.push_back({path + ".lora_B", {64, r}, count + r * in, 64 * r});
      count += r * (in + 64);
    }
  }
  std::vector<float> params(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < params.size(); ++i) {
    params[i] = 0.01F * static_cast<float>(i % 13) - 0.06F;
  }
  write_peft_adapter(scratch / "adapter", config, tensors, params, DType::f32);

  Settings settings = short_run(scratch / "none");
  for (const char* key : {"adapter.r", "adapter.alpha", "adapter.target_modules"}) {
    settings.erase(key);
  }
  settings["adapter.init_from"] = (scratch / "adapter").string();
  settings["train.max_steps"] = "3";
  settings["train.recompute"] = "none";
  expect_success(launch_of(settings, 1));
  settings["train.recompute"] = "block";
  settings["output.dir"] = (scratch / "block").string();
  expect_success(launch_of(settings, 2));
  expect_same_training(scratch / "block", scratch / "none");
  EXPECT_EQ(read_peft_adapter(scratch / "block/adapter").config.rank_pattern, config.rank_pattern);
}

}  // namespace
}  // namespace lora_dist::program::targets_test
