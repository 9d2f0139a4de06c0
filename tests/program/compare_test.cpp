// compare: several methods over one loaded base.
#include <gtest/gtest.h>

#include "tests/program/family_runs.h"

namespace lora_dist::program::compare_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Settings settings_for(const fs::path& output) {
  Settings settings = short_run(output);
  settings.erase("adapter.target_modules");
  settings["train.max_steps"] = "3";
  settings["train.global_batch"] = "4";
  settings["data.validation"] = toml_list({source("tests/golden/lora_steps/train.jsonl")});
  settings["eval.max_samples"] = "4";
  settings["eval.every"] = "3";
  return settings;
}

Launch compare(const Settings& settings, int ranks, const std::string& methods, const std::vector<std::string>& more = {}) {
  Launch launch = launch_of(settings, ranks, "compare");
  launch.arguments.insert(launch.arguments.end(), {"--methods", methods});
  launch.arguments.insert(launch.arguments.end(), more.begin(), more.end());
  return launch;
}

/// Buffers of one method must not be those of the next: sizes and kinds of saved activations differ.
TEST(Compare, EachMethodHasTheBitsOfARunOfItsOwn) {
  const Scratch scratch;
  Settings settings = settings_for(scratch / "all");
  const Finished result = expect_success(compare(settings, 2, "lora,ia3,dora", {"--learning-rate", "ia3=1e-2"}));
  const json methods = read_json(scratch / "all/compare.json")["methods"];
  ASSERT_EQ(methods.size(), 3U);
  for (const json& method : methods) {
    const std::string name = method["method"];
    settings["adapter.method"] = name;
    settings["train.learning_rate"] = name == "ia3" ? "1e-2" : "1e-3";
    settings["output.dir"] = (scratch / name).string();
    expect_success(launch_of(settings, 2));
    const fs::path file = "adapter/adapter_model.safetensors";
    EXPECT_EQ(get_file(scratch / "all" / name / file), get_file(scratch / name / file)) << name;

    const std::vector<json> evaluations = read_lines(scratch / name / "eval.jsonl");
    EXPECT_EQ(method["loss_before"], evaluations.front()["loss"]) << name;
    EXPECT_EQ(method["loss_after"], evaluations.back()["loss"]) << name;
    EXPECT_EQ(method["steps"], 3) << name;
    EXPECT_EQ(method["adapter_bytes"], fs::file_size(scratch / name / file)) << name;
    EXPECT_GT(method["seconds"], 0.0) << name;
    EXPECT_GT(method["tokens_per_second"], 0.0) << name;
    EXPECT_NE(result.out.find("\n" + name + " "), std::string::npos) << result.out;
  }
  EXPECT_EQ(methods[0]["learning_rate"], 1e-3);
  EXPECT_EQ(methods[1]["learning_rate"], 1e-2);
  EXPECT_EQ(methods[0]["all_parameters"].get<std::int64_t>() - methods[0]["trained_parameters"].get<std::int64_t>(),
            methods[2]["all_parameters"].get<std::int64_t>() - methods[2]["trained_parameters"].get<std::int64_t>());
  EXPECT_GT(methods[2]["trained_parameters"], methods[0]["trained_parameters"]);
  EXPECT_GT(methods[2]["rank_bytes"], methods[1]["rank_bytes"]);
}

TEST(Compare, ARunThatWasCutShortGoesOnWithTheMethodsThatAreLeft) {
  const Scratch scratch;
  const Settings settings = settings_for(scratch / "all");
  expect_success(compare(settings, 1, "lora"));
  const json first = read_json(scratch / "all/compare.json")["methods"][0];
  const Finished result = expect_success(compare(settings, 1, "lora,ia3"));
  EXPECT_NE(result.out.find("this run is complete: 3 of 3 steps"), std::string::npos) << result.out;
  const json methods = read_json(scratch / "all/compare.json")["methods"];
  ASSERT_EQ(methods.size(), 2U);
  EXPECT_EQ(methods[0], first);
}

TEST(Compare, LeavesOutWhatAMethodDoesNotHave) {
  const Scratch scratch;
  Settings settings = settings_for(scratch / "all");
  settings["adapter.loraplus_ratio"] = "4";
  settings["adapter.target_modules"] = "q_proj";
  const Finished result = expect_success(compare(settings, 2, "lora,ia3"));
  for (const char* text : {"adapter.loraplus_ratio is left out for ia3, which does not have it",
                           "adapter.target_modules is left out for ia3, which has modules of its own"}) {
    EXPECT_EQ(count_of(result.err, text), 1) << result.err;
  }
  EXPECT_NE(get_file(scratch / "all/lora/config.resolved.toml").find("loraplus_ratio = 4"), std::string::npos);
  EXPECT_NE(get_file(scratch / "all/ia3/config.resolved.toml").find("loraplus_ratio = 0"), std::string::npos);
}

TEST(Compare, LeavesOutAnInitialisationOfLoraAlone) {
  const Scratch scratch;
  Settings settings = settings_for(scratch / "all");
  settings["adapter.init"] = "olora";
  const Finished result = expect_success(compare(settings, 1, "dora"));
  EXPECT_EQ(count_of(result.err, "adapter.init is left out for dora, which does not have it"), 1) << result.err;
}

TEST(Compare, RefusesTokensThatSomeMethodsCannotTrain) {
  const Scratch scratch;
  Settings settings = settings_for(scratch / "all");
  settings["tokenizer.add_tokens"] = R"(["<city>"])";
  expect_error(compare(settings, 1, "lora,ia3"), 2, {"are taken by lora, but not by ia3", "leave the tokens or ia3 out"});
}

/// Options of a method do not contradict another method of the list.
TEST(Compare, TakesOptionsOfSeveralMethods) {
  const Scratch scratch;
  Settings settings = settings_for(scratch / "all");
  settings["adapter.bottleneck.reduction"] = "8";
  settings["adapter.vera.projection_key"] = "5";
  expect_success(compare(settings, 1, "bottleneck,vera"));
  EXPECT_EQ(read_json(scratch / "all/vera/adapter/adapter_config.json")["projection_prng_key"], 5);
  EXPECT_EQ(read_json(scratch / "all/bottleneck/adapter/adapter_config.json")["config"]["reduction_factor"], 8);
}

/// An encoder's parameters are trained, the rows that it makes are not.
TEST(Compare, CountsParametersAsTheRunDoes) {
  const Scratch scratch;
  Settings settings = settings_for(scratch / "all");
  settings.erase("adapter.r");
  settings["adapter.prompt.encoder_hidden"] = "8";
  const Finished result = expect_success(compare(settings, 1, "p_tuning"));
  const json method = read_json(scratch / "all/compare.json")["methods"][0];
  std::string shown = result.out.substr(result.out.find("trainable params: "));
  std::erase(shown, ',');
  const std::string counts = "trainable params: " + std::to_string(method["trained_parameters"].get<std::int64_t>()) +
                             " || all params: " + std::to_string(method["all_parameters"].get<std::int64_t>()) + " ";
  EXPECT_EQ(shown.substr(0, counts.size()), counts);
}

/// The last method is checked before the first is trained.
TEST(Compare, ChecksAllMethodsBeforeTheFirstStep) {
  const Scratch scratch;
  Settings settings = settings_for(scratch / "all");
  settings["model.path"] = source("tests/golden/families/gpt_neox_parallel").string();
  settings["data.train"] = toml_list({training_rows(source("tests/golden/families/gpt_neox_parallel"), scratch / "rows.jsonl")});
  settings.erase("data.validation");
  expect_error(compare(settings, 2, "lora,bottleneck"), 2, {"gpt_neox models run attention and MLP side by side"});
  EXPECT_FALSE(fs::exists(scratch / "all/lora/metrics.jsonl"));
}

TEST(Compare, WithoutValidationDataThereIsNoLoss) {
  const Scratch scratch;
  Settings settings = settings_for(scratch / "all");
  settings.erase("data.validation");
  expect_success(compare(settings, 1, "ia3"));
  const json method = read_json(scratch / "all/compare.json")["methods"][0];
  EXPECT_TRUE(method["loss_before"].is_null());
  EXPECT_TRUE(method["loss_after"].is_null());
}

TEST(Compare, Refuses) {
  const Scratch scratch;
  Settings settings = settings_for(scratch / "all");
  expect_error(launch_of(settings, 1, "compare"), 2, {"compare needs --methods"});
  expect_error(compare(settings, 2, "lora,dora,lora"), 2, {"--methods names lora twice"});
  expect_error(compare(settings, 2, "lora,,dora"), 2, {"--methods lora,,dora names an empty method"});
  expect_error(compare(settings, 1, "lora,lore"), 2, {"adapter.method", "lore"});
  expect_error(compare(settings, 1, "lora", {"--learning-rate", "lora=fast"}), 2, {"train.learning_rate", "fast"});
  for (const char* rate : {"ia3=1e-2", "lora", "=1"}) {
    expect_error(compare(settings, 1, "lora,dora", {"--learning-rate", rate}), 2,
                 {std::string("--learning-rate ") + rate + ": METHOD=RATE is needed"});
  }
  expect_error(compare(settings, 1, "lora", {"--learning-rate", "lora=1", "--learning-rate", "lora=2"}), 2,
               {"once for each method"});
  settings["adapter.init_from"] = (scratch / "none").string();
  expect_error(compare(settings, 1, "lora"), 2, {"compare starts new adapters", "adapter.init_from"});
  EXPECT_FALSE(fs::exists(scratch / "all/compare.json"));
}

}  // namespace
}  // namespace lora_dist::program::compare_test
