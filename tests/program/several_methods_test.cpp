// Methods that are trained together: their folders, evaluation, bits and meshes.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/program/method_runs.h"

namespace lora_dist::program::several_methods_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Settings settings_for(const fs::path& output, const std::string& methods) {
  Settings settings = short_run(output);
  settings["adapter.method"] = methods;
  settings["adapter.target_modules"] = "all-linear";
  settings["train.max_steps"] = "6";
  settings["train.schedule"] = "constant";
  settings["train.warmup_ratio"] = "0";
  return settings;
}

constexpr const char* kThree = R"(["bottleneck", "prefix", "lora"])";

/// The folders mean what the run's last evaluation measured.
TEST(SeveralMethods, HaveAFolderEach) {
  const Scratch scratch;
  const fs::path rows = source("tests/golden/lora_steps/train.jsonl");
  Settings settings = settings_for(scratch / "out", R"(["bottleneck", "prompt", "vera", "ln_tuning"])");
  settings.erase("adapter.target_modules");
  settings["data.validation"] = toml_list({rows});
  settings["eval.every"] = "6";
  settings["train.learning_rate"] = "0.01";
  const Finished shown = expect_success(launch_of(settings, 2));
  EXPECT_EQ(count_of(shown.out, "adapter    vera, r "), 1) << shown.out;
  EXPECT_EQ(count_of(shown.out, " + prompt, 20 virtual tokens + ln_tuning, "), 1) << shown.out;
  EXPECT_EQ(count_of(shown.out, "\nstart  "), 1) << shown.out;  // prompts and bottlenecks change the model at once
  for (const char* name : {"vera", "prompt", "ln_tuning", "bottleneck"}) {
    EXPECT_EQ(read_peft_adapter(scratch / "out/adapter" / name).config.method, *value_of_word(kMethods, name));
  }
  const std::vector<json> during = read_lines(scratch / "out/eval.jsonl");
  EXPECT_LT(during.back()["loss"].get<double>(), during.front()["loss"].get<double>());
  Settings evaluation = settings;
  evaluation["output.dir"] = (scratch / "eval").string();
  Launch eval = launch_of(evaluation, 1, "eval");
  eval.arguments.insert(eval.arguments.end(), {"--adapter", (scratch / "out/adapter").string()});
  const Finished evaluated = expect_success(eval);
  EXPECT_EQ(count_of(evaluated.out, fmt::format("loss {:.6f}, ", during.back()["loss"].get<double>())), 1) << evaluated.out;
  Launch inspect;
  inspect.arguments = {"inspect", (scratch / "out/adapter").string()};
  EXPECT_EQ(count_of(expect_success(inspect).out, "PEFT adapter"), 4);
}

/// What is made from the base and from the weights: neither overwrites the other.
TEST(SeveralMethods, StartAsTheBaseIfEachDoes) {
  const Scratch scratch;
  double base = 0.0;
  int runs = 0;
  for (const char* methods : {R"("lora")", R"(["lora", "ln_tuning"])", R"(["dora", "ln_tuning"])"}) {
    const fs::path output = scratch / std::to_string(runs++);
    Settings settings = settings_for(output, methods);
    settings["adapter.init"] = methods == std::string(R"(["lora", "ln_tuning"])") ? "pissa" : "default";
    settings["data.validation"] = toml_list({source("tests/golden/lora_steps/train.jsonl")});
    settings["train.max_steps"] = "1";
    const Finished shown = expect_success(launch_of(settings, 2));
    EXPECT_EQ(count_of(shown.out, "\nbase  "), 1) << shown.out;
    const double loss = read_lines(output / "eval.jsonl").front()["loss"].get<double>();
    base = base == 0.0 ? loss : base;
    EXPECT_NEAR(loss, base, 1e-5) << methods;
  }
}

/// With dropout, recomputation and accumulation; stopped in the middle, and continued on other ranks.
TEST(SeveralMethods, HaveTheSameBitsOnAnyDataRanksAndResumed) {
  const Scratch scratch;
  const auto expect_same = [&](const char* name) {
    for (const char* method : {"lora", "prefix", "bottleneck"}) {
      const fs::path folder = fs::path("adapter") / method;
      const char* const file = method == std::string("bottleneck") ? "adapter.safetensors" : "adapter_model.safetensors";
      EXPECT_EQ(get_file(scratch / name / folder / file), get_file(scratch / "straight" / folder / file)) << name << method;
    }
  };
  expect_success(launch_of(settings_for(scratch / "straight", kThree), 1));
  expect_success(launch_of(settings_for(scratch / "three", kThree), 3));
  expect_same("three");
  Settings cut = settings_for(scratch / "cut", kThree);
  cut["checkpoint.every"] = "3";
  expect_success(launch_of(cut, 2));
  fs::remove_all(scratch / "cut/checkpoints/step_00000006");  // as if it had been interrupted
  expect_success(launch_of(cut, 1));
  expect_same("cut");
  cut["adapter.method"] = "lora";
  cut["train.max_steps"] = "7";
  expect_error(launch_of(cut, 1), 2,
               {R"(was trained with adapter.method = ["lora", "prefix", "bottleneck"], and now it is "lora")"});
}

TEST(SeveralMethods, ComputeTheSameOnAnyMesh) {
  const MethodCase c{"lora_patterns", "qwen3"};
  const Scratch scratch;
  const fs::path rows = training_rows(base_folder(c), scratch / "train.jsonl");
  const auto run = [&](const std::string& name, int ranks, const std::string& tensor) {
    Settings settings = steps_of(base_folder(c), "nf4", rows, scratch / name);
    settings.erase("adapter.init_from");
    settings["adapter.method"] = kThree;
    settings["adapter.r"] = "3";
    settings["parallel.tensor"] = tensor;
    expect_success(launch_of(settings, ranks));
  };
  run("alone", 1, "1");
  run("two", 2, "2");
  run("four", 4, "2");
  for (const char* name : {"two", "four"}) {
    for (const char* method : {"lora", "prefix", "bottleneck"}) {
      const double worst = largest_difference(read_peft_adapter(scratch / name / "adapter" / method),
                                              read_peft_adapter(scratch / "alone/adapter" / method));
      EXPECT_LE(worst, 2e-4) << name << " " << method;  // AdamW divides small gradients by their own size
    }
  }
}

TEST(SeveralMethods, ErrorsNameTheWayOut) {
  const Scratch scratch;
  const auto refused = [&](const std::string& methods) { return launch_of(settings_for(scratch / "out", methods), 1); };
  expect_error(refused(R"(["lora", "dora"])"), 2,
               {"adapter.method names lora and dora, which both train linear layers; name one of them"});
  expect_error(refused(R"(["prompt", "prefix"])"), 2, {"prompt and prefix, which both train virtual tokens"});
  expect_error(refused(R"(["lora", "p_tuning"])"), 2,
               {"virtual tokens that an encoder makes (p_tuning, prefix with a projection) "
                "are trained alone"});
  Settings settings = settings_for(scratch / "out", R"(["lora", "bottleneck"])");
  settings["train.max_steps"] = "1";
  expect_success(launch_of(settings, 1));
  const std::string adapter = (scratch / "out/adapter").string();
  Launch merge;
  merge.arguments = {"merge", "--model",  settings.at("model.path"),    "--adapter",
                     adapter, "--output", (scratch / "merged").string()};
  expect_error(merge, 4, {"holds the adapters of several methods; give one of its folders (lora, bottleneck)"});
  settings = settings_for(scratch / "next", "lora");
  settings["adapter.init_from"] = adapter;
  settings.erase("adapter.method");
  expect_error(launch_of(settings, 1), 2, {"adapter.init_from (" + adapter + ") holds adapters of several methods"});
}

/// Without one of them the others compute something else.
TEST(SeveralMethods, AreReadTogetherOrNotAtAll) {
  const Scratch scratch;
  for (const char* name : {"one", "other"}) {
    Settings settings = settings_for(scratch / name, R"(["lora", "bottleneck", "ln_tuning"])");
    settings["train.max_steps"] = "1";
    settings["train.seed"] = name == std::string("one") ? "1" : "2";
    expect_success(launch_of(settings, 1));
  }
  const fs::path adapter = scratch / "one/adapter";
  put_file(scratch / "rows.jsonl", R"({"id":1,"input_ids":[1,5,9]})"
                                   "\n");
  Launch score;
  score.arguments = {"score",
                     "--model",
                     source("demo/model").string(),
                     "--adapter",
                     adapter.string(),
                     "--input",
                     (scratch / "rows.jsonl").string(),
                     "--output",
                     (scratch / "scores").string()};
  expect_success(score);
  fs::rename(adapter / "bottleneck", scratch / "kept");
  expect_error_on_1_and_3_ranks(score, 4, {adapter.string(), "only together they are what was trained"});
  fs::copy(scratch / "other/adapter/bottleneck", adapter / "bottleneck");
  expect_error(score, 4, {"bottleneck is of another run or step than lora"});
  fs::remove_all(adapter / "bottleneck");
  fs::rename(scratch / "kept", adapter / "bottleneck");
  fs::copy(scratch / "other/adapter/lora", adapter / "prompt");
  expect_error(score, 4, {"only together they are what was trained"});
  fs::remove_all(adapter / "prompt");
  expect_success(score);
}

}  // namespace
}  // namespace lora_dist::program::several_methods_test
