// lora_dist eval and inspect.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/program/fixtures.h"

namespace lora_dist::program::eval_inspect_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Settings golden_rows(const fs::path& output) {
  return {{"model.path", source("demo/model").string()},
          {"model.quantization", "none"},
          {"data.train", toml_list({source("tests/golden/lora_steps/train.jsonl")})},
          {"data.validation", toml_list({source("tests/golden/lora_steps/train.jsonl")})},
          {"train.micro_batch", "3"},
          {"output.dir", output.string()}};
}

/// The loss over all 80 rows with the adapter that the oracle ended with.
TEST(Eval, GivesTheLossOfTransformersAndPeft) {
  const Scratch scratch;
  const json golden = read_json(source("tests/golden/lora_steps/fp32_all_linear/losses.json"));
  for (const int ranks : {1, 3}) {
    const fs::path output = scratch / std::to_string(ranks);
    Launch launch = launch_of(golden_rows(output), ranks, "eval");
    launch.arguments.insert(launch.arguments.end(),
                            {"--adapter", source("tests/golden/lora_steps/fp32_all_linear/final").string()});
    expect_success(launch);
    const json result = read_json(output / "eval.json");
    EXPECT_NEAR(result["loss"].get<double>(), golden["after"]["loss_all_rows"].get<double>(), 2e-6);
    EXPECT_NEAR(result["perplexity"].get<double>(), std::exp(result["loss"].get<double>()), 1e-9);
    EXPECT_EQ(result["target_tokens"], golden["after"]["target_tokens_all_rows"]);
    EXPECT_EQ(result["samples"], 80);
    EXPECT_EQ(column(read_lines(output / "eval.jsonl"), "loss"), std::vector<json>{result["loss"]});
  }
  EXPECT_EQ(read_json(scratch / "1/eval.json")["loss"], read_json(scratch / "3/eval.json")["loss"]);
}

TEST(Eval, TakesTheAdapterOfTheConfigurationAndAppendsToItsLog) {
  const Scratch scratch;
  const json golden = read_json(source("tests/golden/lora_steps/fp32_all_linear/losses.json"));
  Settings settings = golden_rows(scratch / "out");
  expect_success(launch_of(settings, 1, "eval"));
  EXPECT_EQ(read_json(scratch / "out/eval.json")["adapter"], "");
  const double base = read_json(scratch / "out/eval.json")["loss"].get<double>();
  const std::string adapter = source("tests/golden/lora_steps/fp32_all_linear/final").string();
  settings["adapter.init_from"] = adapter;
  expect_success(launch_of(settings, 1, "eval"));
  EXPECT_EQ(read_json(scratch / "out/eval.json")["adapter"], adapter);
  EXPECT_NEAR(read_json(scratch / "out/eval.json")["loss"].get<double>(), golden["after"]["loss_all_rows"].get<double>(), 2e-6);
  EXPECT_GT(base, golden["after"]["loss_all_rows"].get<double>() + 0.1);
  EXPECT_EQ(read_lines(scratch / "out/eval.jsonl").size(), 2U);
}

TEST(Eval, NeedsValidationData) {
  const Scratch scratch;
  Settings settings = golden_rows(scratch / "out");
  settings.erase("data.validation");
  settings["data.validation_split"] = "0";
  expect_error_on_1_and_3_ranks(launch_of(settings, 0, "eval"), 3, {"there is no validation data", "data.validation"});
}

Launch inspect(const fs::path& path, int ranks = 0) {
  Launch launch;
  launch.ranks = ranks;
  launch.arguments = {"inspect", path.string(), "--verify"};
  return launch;
}

TEST(Inspect, SummarizesAdapters) {
  Launch launch;
  const fs::path adapter = source("tests/golden/lora_steps/nf4_double_all_linear/final");
  launch.arguments = {"inspect", adapter.string()};
  const Finished summary = expect_success(launch);
  for (const char* text : {"method          LoRA\n", "base format     not recorded\n", "r               8\n",
                           "largest update: ", "70 tensors (--tensors lists them)\n"}) {
    EXPECT_EQ(count_of(summary.out, text), 1) << text << summary.out;
  }
  EXPECT_EQ(count_of(summary.out, "lora_A"), 0);
  launch.arguments.emplace_back("--tensors");
  EXPECT_EQ(count_of(expect_success(launch).out, ".lora_A "), 35);
  launch.arguments = {"inspect", source("tests/golden/lora_steps/init_qv").string()};
  EXPECT_EQ(count_of(expect_success(launch).out, "every update is zero: this adapter changes nothing"), 1);
}

TEST(Inspect, ShowsModelsAdaptersAndTensorFiles) {
  const Finished model = expect_success(inspect(source("demo/model"), 2));
  EXPECT_EQ(count_of(model.out, "model.layers.4.mlp.down_proj.weight "), 1) << model.out;
  EXPECT_NE(model.out.find("vocabulary      512"), std::string::npos) << model.out;
  const Finished adapter = expect_success(inspect(source("tests/golden/lora_steps/init_qv")));
  EXPECT_NE(adapter.out.find("q_proj, v_proj"), std::string::npos) << adapter.out;
  EXPECT_NE(adapter.out.find("alpha           16"), std::string::npos) << adapter.out;
  const Finished tensors = expect_success(inspect(source("demo/model/model.safetensors")));
  EXPECT_NE(tensors.out.find("model.norm.weight"), std::string::npos) << tensors.out;
  expect_error_on_1_and_3_ranks(inspect("/no/such/place"), 4, {"/no/such/place", "no such file or folder"});
  expect_error(inspect(source("tests/golden")), 4, {"is neither a checkpoint"});
}

TEST(Inspect, TellsASoundCheckpointFromADamagedOne) {
  const Scratch scratch;
  expect_success(launch_of(short_run(scratch / "out"), 2));
  const fs::path checkpoint = scratch / "out/checkpoints/step_00000010";
  const Finished sound = expect_success(inspect(checkpoint));
  EXPECT_NE(sound.out.find("all digests are right"), std::string::npos) << sound.out;
  const fs::path copy = scratch / "step_00000010";
  for (const char* file : {"shard_00000.h5", "shard_00001.h5", "MANIFEST.json"}) {
    for (const double part : {0.0, 0.3, 0.999}) {
      fs::remove_all(copy);
      fs::copy(checkpoint, copy, fs::copy_options::recursive);
      flip_bit(copy / file, part);
      expect_error(inspect(copy), 4, {"this checkpoint is not sound", file});
    }
  }
  fs::remove_all(copy);
  fs::copy(checkpoint, copy, fs::copy_options::recursive);
  fs::remove(copy / "shard_00001.h5");
  expect_error_on_1_and_3_ranks(inspect(copy), 4, {"this checkpoint is not sound", "shard_00001.h5"});
}

/// Without model.quantization the adapter's record says how the base is held; with another one a warning does.
TEST(Eval, HoldsTheBaseAsTheAdapterRecordsIt) {
  const Scratch scratch;
  Settings training = short_run(scratch / "run");
  training["model.quantization"] = "none";
  expect_success(launch_of(training, 1));
  Settings settings = golden_rows(scratch / "eval");
  settings["adapter.init_from"] = (scratch / "run/adapter").string();
  const Finished written = expect_success(launch_of(settings, 1, "eval"));
  EXPECT_EQ(count_of(written.err, "note:"), 0) << written.err;
  const json expected = read_json(scratch / "eval/eval.json");
  settings.erase("model.quantization");
  const Finished recorded = expect_success(launch_of(settings, 2, "eval"));
  EXPECT_EQ(count_of(recorded.err, "note: the base's quantization is that of the training of " + settings["adapter.init_from"] +
                                       ": not quantized"),
            1)
      << recorded.err;
  EXPECT_EQ(read_json(scratch / "eval/eval.json")["loss"], expected["loss"]);
  EXPECT_EQ(read_json(scratch / "eval/eval.json")["quantization"], "none");
  settings["model.quantization"] = "nf4";
  const Finished other = expect_success(launch_of(settings, 1, "eval"));
  EXPECT_EQ(count_of(other.err, "warning: " + settings["adapter.init_from"] +
                                    " was trained on a base that was not quantized; here the base is NF4"),
            1)
      << other.err;
}

}  // namespace
}  // namespace lora_dist::program::eval_inspect_test
