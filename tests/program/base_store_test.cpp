// quantize writes a base store; training on it gives the same bits as training on the original folder.
#include <gtest/gtest.h>

#include "tests/program/family_runs.h"

namespace lora_dist::program::base_store_test {
namespace {

namespace fs = std::filesystem;

Launch command(const std::vector<std::string>& arguments) {
  Launch launch;
  launch.arguments = arguments;
  return launch;
}

Launch quantize(const fs::path& model, const fs::path& output, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"quantize", "--model", model.string(), "--output", output.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return command(arguments);
}

class StoreOf : public testing::TestWithParam<const char*> {};

TEST_P(StoreOf, TrainsLikeTheFolder) {
  const fs::path model = source("tests/golden/families") / GetParam();
  const Scratch scratch;
  const fs::path rows = training_rows(model, scratch / "train.jsonl");
  for (const std::string double_quant : {"true", "false"}) {
    const fs::path store = scratch / ("store_" + double_quant);
    expect_success(quantize(model, store, {"--double-quant", double_quant}));
    EXPECT_FALSE(fs::exists(store / "model.safetensors"));
    EXPECT_TRUE(fs::exists(store / "config.json"));
    for (const int tensor : {1, 2}) {
      Settings settings = steps_of(model, "nf4", rows, scratch / ("folder" + double_quant + std::to_string(tensor)));
      settings["model.double_quant"] = double_quant;
      settings["parallel.tensor"] = std::to_string(tensor);
      expect_success(launch_of(settings, 2));
      const std::string reference = settings["output.dir"];
      settings["output.dir"] = (scratch / ("store" + double_quant + std::to_string(tensor))).string();
      settings["model.path"] = store.string();
      expect_success(launch_of(settings, 2));
      expect_same_training(settings["output.dir"], reference);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, StoreOf,
                         testing::Values("llama3", "gpt2", "gpt_neox_parallel", "exaone4_hybrid", "gemma2", "phi3", "olmo2"),
                         [](const auto& info) { return std::string(info.param); });

TEST(BaseStore, IsInspectedAndVerified) {
  const Scratch scratch;
  const fs::path store = scratch / "store";
  expect_success(quantize(source("demo/model"), store, {"--quantization", "fp4", "--block-size", "128"}));
  const Finished shown = expect_success(command({"inspect", store.string(), "--verify"}));
  EXPECT_NE(shown.out.find("base store made from"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("has its digest"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("blocks of 128 (a base store)"), std::string::npos) << shown.out;
}

TEST(BaseStore, ABitThatFlippedIsFound) {
  const Scratch scratch;
  const fs::path store = scratch / "store";
  expect_success(quantize(source("demo/model"), store));
  for (const double part : {0.3, 0.5, 0.8}) {
    const fs::path spoilt = scratch / ("spoilt" + std::to_string(part));
    fs::copy(store, spoilt, fs::copy_options::recursive);
    flip_bit(spoilt / "base_store.h5", part);
    expect_error(command({"inspect", spoilt.string(), "--verify"}), 4, {"base_store.h5"});
    Settings settings = short_run(scratch / "out");
    settings["model.path"] = spoilt.string();
    expect_error(launch_of(settings, 1), 4, {"base_store.h5"});
  }
}

/// Merging onto a store gives a plain folder, the same as merging onto the original folder.
TEST(BaseStore, MergesLikeTheFolder) {
  const fs::path model = source("tests/golden/families/gpt_neox_parallel");
  const Scratch scratch;
  const fs::path store = scratch / "store";
  expect_success(quantize(model, store));
  const auto merge = [&](const fs::path& onto, const std::string& name) {
    expect_success(command({"merge", "--model", onto.string(), "--adapter", (model / "adapter_init").string(), "--output",
                            (scratch / name).string()}));
    const fs::path input = scratch / (name + ".jsonl");
    put_file(input, "{\"id\": 1, \"input_ids\": [5, 9, 40, 3, 77]}\n");
    return scores_of({"--model", (scratch / name).string()}, input, scratch / (name + "_scores.jsonl"));
  };
  EXPECT_LE(largest_change(merge(store, "from_store"), merge(model, "from_folder")), 1e-6);
  EXPECT_FALSE(fs::exists(scratch / "from_store" / "base_store.h5"));
}

/// A folder quantized by bitsandbytes determines the store's format; other formats are refused.
TEST(BaseStore, AQuantizedFolderKeepsItsFormat) {
  const Scratch scratch;
  const fs::path folder = source("tests/golden/prequantized/qwen2_fp4_nested_in_f32");
  const Finished made = expect_success(quantize(folder, scratch / "store"));
  EXPECT_NE(made.out.find("FP4 with double quantization"), std::string::npos) << made.out;
  expect_error(quantize(folder, scratch / "refused", {"--quantization", "nf4"}), 2, {"--quantization asks for another base"});
  EXPECT_FALSE(fs::exists(scratch / "refused"));
}

TEST(BaseStore, ErrorsSayWhatToDo) {
  const Scratch scratch;
  const fs::path store = scratch / "store";
  expect_error(command({"quantize", "--output", store.string()}), 2, {"quantize needs --model DIR"});
  expect_error(command({"quantize", "--model", "x"}), 2, {"quantize needs --output DIR"});
  expect_error(quantize(source("demo/model"), store, {"--quantization", "int8"}), 2, {"quantize writes nf4 or fp4", "int8"});
  expect_error(quantize(scratch / "nothing", store), 4, {"nothing"});
  EXPECT_FALSE(fs::exists(store));
  fs::create_directory(store);
  expect_error(quantize(source("demo/model"), store), 2, {"is there already"});
  Settings settings = short_run(scratch / "out");
  settings["model.block_size"] = "128";
  const fs::path made = scratch / "made";
  expect_success(quantize(source("demo/model"), made));
  settings["model.path"] = made.string();
  settings["model.quantization"] = "nf4";
  expect_error(launch_of(settings, 1), 2, {"asks for another base", "blocks of 128", "blocks of 64"});
}

}  // namespace
}  // namespace lora_dist::program::base_store_test
