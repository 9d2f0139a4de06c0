// adapter.target_modules that name modules of some layers only.
#include <gtest/gtest.h>

#include "src/export/peft_adapter.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program {
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

}  // namespace
}  // namespace lora_dist::program
