// Eight steps of every adapter method from PEFT's start, its folders, and its merge, against PEFT (tests/golden/methods).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/program/method_runs.h"

namespace lora_dist::program::methods_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Methods : public testing::TestWithParam<MethodCase> {};

/// A float base on one rank, an NF4 base cut over two TP ranks.
TEST_P(Methods, FollowPeft) {
  const MethodCase& c = GetParam();
  const json golden = read_json(golden_folder(c) / "golden.json");
  const Scratch scratch;
  const fs::path rows = training_rows(base_folder(c), scratch / "train.jsonl");
  for (const std::string quantization : {"none", "nf4"}) {
    const fs::path output = scratch / quantization;
    Settings settings = settings_of(c, quantization, rows, output);
    settings["parallel.tensor"] = quantization == "none" ? "1" : "2";
    expect_success(launch_of(settings, quantization == "none" ? 1 : 2));
    const double loss = loss_difference(output, golden[quantization]["losses"]);
    const PeftAdapter theirs = read_peft_adapter(golden_folder(c) / ("adapter_" + quantization));
    const double adapter = largest_difference(read_peft_adapter(output / "adapter"), theirs);
    EXPECT_LE(loss, 1e-4);
    EXPECT_LE(adapter, 1e-3);  // AdamW divides small gradients by their own size
    std::printf("%-22s %-4s: largest difference of loss %.2e, of the adapter %.2e\n", name_of(c).c_str(), quantization.c_str(),
                loss, adapter);
  }
}

TEST_P(Methods, FoldersOfPeftMeanTheSame) {
  const MethodCase& c = GetParam();
  const json golden = read_json(golden_folder(c) / "golden.json");
  for (const std::string quantization : {"none", "nf4"}) {
    const fs::path adapter = golden_folder(c) / ("adapter_" + quantization);
    EXPECT_LE(score_difference(c,
                               {"--model", base_folder(c).string(), "--adapter", adapter.string(), "--quantization", quantization,
                                "--double-quant", "false"},
                               golden[quantization]["logprobs"]),
              quantization == "none" ? 5e-5 : 3e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Methods,
                         testing::Values(MethodCase{"lora_patterns", "llama3"}, MethodCase{"lora_patterns", "qwen3"},
                                         MethodCase{"lora_patterns", "gpt2"}, MethodCase{"loraplus", "llama3"},
                                         MethodCase{"loraplus", "qwen3"}, MethodCase{"loraplus", "gpt2"},
                                         MethodCase{"dora", "llama3"}, MethodCase{"dora", "qwen3"}, MethodCase{"dora", "gpt2"},
                                         MethodCase{"ia3", "llama3"}, MethodCase{"ia3", "qwen3"}, MethodCase{"ia3", "gpt2"},
                                         MethodCase{"ln_tuning", "llama3"}, MethodCase{"ln_tuning", "qwen3"},
                                         MethodCase{"ln_tuning", "gpt2"}, MethodCase{"ln_tuning", "gemma2"},
                                         MethodCase{"vera", "llama3"}, MethodCase{"vera", "qwen3"}, MethodCase{"vera", "gpt2"},
                                         MethodCase{"vera_key", "llama3"}, MethodCase{"adalora", "llama3"},
                                         MethodCase{"adalora", "qwen3"}, MethodCase{"adalora", "gpt2"},
                                         MethodCase{"bottleneck_pfeiffer", "llama3"}, MethodCase{"bottleneck_pfeiffer", "qwen3"},
                                         MethodCase{"bottleneck_pfeiffer", "gpt2"}, MethodCase{"bottleneck_houlsby", "llama3"},
                                         MethodCase{"bottleneck_houlsby", "gpt2"}, MethodCase{"bottleneck_parallel", "llama3"}),
                         [](const auto& info) { return name_of(info.param); });

/// The magnitudes of a new adapter are the lengths of the base's rows, on any mesh.
TEST(Dora, StartsAsPeftDoes) {
  for (const char* base : {"llama3", "gpt2"}) {
    const MethodCase c{"dora", base};
    const json magnitudes = read_json(golden_folder(c) / "golden.json")["magnitudes"];
    for (const int tensor : {1, 2}) {
      const Scratch scratch;
      Settings settings = settings_of(c, "none", training_rows(base_folder(c), scratch / "train.jsonl"), scratch / "out");
      settings.erase("adapter.init_from");
      settings["adapter.target_modules"] = "\"all-linear\"";
      settings["train.max_steps"] = "1";
      settings["train.learning_rate"] = "0";
      settings["parallel.tensor"] = std::to_string(tensor);
      expect_success(launch_of(settings, 2));
      const PeftAdapter adapter = read_peft_adapter(scratch / "out/adapter");
      EXPECT_EQ(adapter.config.method, Method::dora);
      std::size_t compared = 0;
      for (const auto& [name, values] : magnitudes.items()) {
        const AdapterMatrix& ours = adapter.tensors.at(name.substr(0, name.rfind(".weight")));
        ASSERT_EQ(ours.values.size(), values.size()) << name;
        for (std::size_t i = 0; i < values.size(); ++i, ++compared) {
          const double expected = values[i].get<double>();
          EXPECT_NEAR(static_cast<double>(ours.values[i]), expected, 2e-6 * expected) << name << " " << i;
        }
      }
      EXPECT_GT(compared, 100U);
    }
  }
}

/// T = 2 and 2 x 2 compute what one rank does, apart from the order of sums.
class Meshes : public testing::TestWithParam<const char*> {};

TEST_P(Meshes, ComputeTheSame) {
  const MethodCase c{GetParam(), "qwen3"};
  const Scratch scratch;
  const fs::path rows = training_rows(base_folder(c), scratch / "train.jsonl");
  const auto run = [&](const std::string& name, int ranks, const std::string& tensor) {
    Settings settings = settings_of(c, "none", rows, scratch / name);
    settings["parallel.tensor"] = tensor;
    expect_success(launch_of(settings, ranks));
    return read_peft_adapter(scratch / name / "adapter");
  };
  const PeftAdapter alone = run("alone", 1, "1");
  const double two = largest_difference(run("two", 2, "2"), alone);
  const double four = largest_difference(run("four", 4, "2"), alone);
  EXPECT_LE(two, 2e-4);  // AdamW divides small gradients by their own size
  EXPECT_LE(four, 2e-4);
  std::printf("%s: largest difference on two tensor ranks %.2e, on 2 x 2 %.2e\n", GetParam(), two, four);
}

INSTANTIATE_TEST_SUITE_P(All, Meshes, testing::Values("vera", "adalora"),
                         [](const auto& info) { return std::string(info.param); });

/// The masks of every step are PEFT's: the scores at the threshold differ from the next by more than rounding.
TEST(AdaLora, ChoosesPeftsRanksAtEveryStep) {
  for (const char* base : {"llama3", "qwen3", "gpt2"}) {
    const MethodCase c{"adalora", base};
    const json golden = read_json(golden_folder(c) / "golden.json");
    const Scratch scratch;
    const fs::path rows = training_rows(base_folder(c), scratch / "train.jsonl");
    for (const std::string quantization : {"none", "nf4"}) {
      Settings settings = settings_of(c, quantization, rows, scratch / quantization);
      settings["checkpoint.every"] = "1";
      settings["checkpoint.keep"] = "100";
      expect_success(launch_of(settings, 1));
      const std::vector<json> lines = read_lines(scratch / quantization / "metrics.jsonl");
      const json& part = golden[quantization];
      std::size_t chosen = 0;
      for (std::size_t i = 0; i < part["masks"].size(); ++i) {
        EXPECT_NEAR(lines[i]["orthogonality_loss"].get<double>(), part["orthogonality"][i].get<double>(), 1e-4);
        EXPECT_TRUE(part["gaps"][i].is_null() || part["gaps"][i].get<double>() > 1e-4);
        const json manifest = read_json(scratch / quantization / fmt::format("checkpoints/step_{:08}/MANIFEST.json", i + 1));
        const auto kept = manifest["progress"]["rank_budget"]["kept"].get<std::string>();
        std::string expected;
        for (const json& tensor : manifest["tensors"]) {
          const auto name = tensor["name"].get<std::string>();
          if (name.ends_with(".lora_A") && !part["masks"][i].empty()) {
            expected += part["masks"][i][name.substr(0, name.rfind('.'))].get<std::string>();
          }
        }
        EXPECT_EQ(kept, expected) << base << " " << quantization << " step " << i + 1;
        chosen += expected.empty() ? 0 : 1;
      }
      EXPECT_EQ(chosen, 7U);
      const PeftConfig ours = read_peft_adapter(scratch / quantization / "adapter").config;
      EXPECT_EQ(ours.kept_ranks, read_peft_adapter(golden_folder(c) / ("adapter_" + quantization)).config.kept_ranks);
    }
  }
}

class Merges : public testing::TestWithParam<const char*> {};

TEST_P(Merges, ToTheSameFunction) {
  const MethodCase c{GetParam(), "gpt2"};  // its weights are stored in fp32, transposed; it has biases
  const json golden = read_json(golden_folder(c) / "golden.json");
  for (const std::string quantization : {"none", "nf4"}) {
    const Scratch scratch;
    Launch launch;
    launch.ranks = 1;
    launch.arguments = {"merge",
                        "--model",
                        base_folder(c).string(),
                        "--adapter",
                        (golden_folder(c) / ("adapter_" + quantization)).string(),
                        "--output",
                        (scratch / "merged").string(),
                        "--onto",
                        quantization == "none" ? "full" : "dequantized",
                        "--quantization",
                        "nf4",
                        "--double-quant",
                        "false"};
    expect_success(launch);
    EXPECT_LE(score_difference(c, {"--model", (scratch / "merged").string()}, golden[quantization]["logprobs"]), 1e-4);
  }
}

/// With dropout, recomputation, accumulation; stopped in the middle, and continued on other ranks.
class Bits : public testing::TestWithParam<const char*> {};

TEST_P(Bits, AreTheSameOnAnyDataRanksAndResumed) {
  const Scratch scratch;
  const auto settings_in = [&](const std::string& name) {
    Settings settings = short_run(scratch / name);
    settings["adapter.method"] = GetParam();
    settings.erase("adapter.target_modules");
    settings["train.max_steps"] = "6";
    settings["train.schedule"] = "constant";
    settings["train.warmup_ratio"] = "0";
    return settings;
  };
  expect_success(launch_of(settings_in("straight"), 1));
  const Finished shown = expect_success(launch_of(settings_in("three"), 3));
  EXPECT_EQ(count_of(shown.out, std::string("adapter    ") + GetParam() + ", "), 1) << shown.out;
  expect_same_training(scratch / "three", scratch / "straight");
  Settings cut = settings_in("cut");
  cut["checkpoint.every"] = "3";
  expect_success(launch_of(cut, 2));
  fs::remove_all(scratch / "cut/checkpoints/step_00000006");  // as if it had been interrupted
  cut["train.recompute"] = "none";
  expect_success(launch_of(cut, 1));
  expect_same_training(scratch / "cut", scratch / "straight");
  if (GetParam() == std::string("adalora")) {
    cut["train.max_steps"] = "7";
    EXPECT_EQ(count_of(expect_success(launch_of(cut, 1)).out,
                       "train.max_steps was 6 and is now 7; AdaLoRA's budget of ranks follows the new number of steps"),
              1);
  }
  cut["adapter.method"] = "lora";
  cut["train.max_steps"] = "8";
  expect_error(launch_of(cut, 1), 2, {"was trained with adapter."});
}

INSTANTIATE_TEST_SUITE_P(All, Merges, testing::Values("dora", "ia3", "ln_tuning", "vera", "adalora"),
                         [](const auto& info) { return std::string(info.param); });

INSTANTIATE_TEST_SUITE_P(All, Bits, testing::Values("dora", "ia3", "ln_tuning", "vera", "adalora", "bottleneck"),
                         [](const auto& info) { return std::string(info.param); });

/// A run with the printed configuration of another one.
TEST(Ia3, ThePrintedConfigurationRunsAgain) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["adapter.method"] = "ia3";
  settings["adapter.layers_to_transform"] = "1";
  settings["adapter.target_modules"] = "all-linear";
  settings["train.max_steps"] = "1";
  expect_success(launch_of(settings, 1));
  const PeftConfig config = read_peft_adapter(scratch / "out/adapter").config;
  EXPECT_EQ(config.feedforward_modules,
            std::vector<std::string>{"model.layers.1.mlp.down_proj"});  // PEFT wants a part of the targets
  EXPECT_EQ(config.target_modules.size(), 7U);
  Launch again;
  again.arguments = {"train", "--cfg", (scratch / "out/config.resolved.toml").string(), "--set",
                     "output.dir=" + (scratch / "again").string()};
  expect_success(again);
  expect_same_training(scratch / "again", scratch / "out");
}

/// A bias is an element of the plan of a merge, also of a folder that was quantized before.
TEST(Ia3, MergesIntoAPrequantizedFolder) {
  const fs::path model = source("tests/golden/prequantized/qwen2_fp4_nested_in_f32");
  const Scratch scratch;
  put_file(scratch / "rows.jsonl", R"({"input_ids":[1,5,9,12,7],"labels":[1,5,9,12,7]})"
                                   "\n");
  Settings settings = steps_of(model, "none", scratch / "rows.jsonl", scratch / "out");
  settings.erase("adapter.init_from");
  settings.erase("model.quantization");
  settings.erase("model.double_quant");
  settings["adapter.method"] = "ia3";
  settings["train.max_steps"] = "2";
  settings["train.learning_rate"] = "0.05";
  expect_success(launch_of(settings, 1));
  Launch merge;
  merge.arguments = {"merge",
                     "--model",
                     model.string(),
                     "--adapter",
                     (scratch / "out/adapter").string(),
                     "--output",
                     (scratch / "merged").string()};
  expect_success(merge);
  const auto score = [&](const std::vector<std::string>& options, const std::string& name) {
    Launch launch;
    launch.arguments = {"score", "--input", (scratch / "rows.jsonl").string(), "--output", (scratch / name).string()};
    launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
    expect_success(launch);
    return read_lines(scratch / name)[0]["loss"].get<double>();
  };
  const double with_adapter =
      score({"--model", model.string(), "--adapter", (scratch / "out/adapter").string()}, "adapter.jsonl");
  EXPECT_GT(std::fabs(with_adapter - score({"--model", model.string()}, "base.jsonl")), 1e-3);
  EXPECT_NEAR(score({"--model", (scratch / "merged").string()}, "merged.jsonl"), with_adapter, 2e-2);  // it is stored in bf16
}

TEST(Dora, MergesAlone) {
  const MethodCase c{"dora", "gpt2"};
  const std::string adapter = (golden_folder(c) / "adapter_none").string();
  const Scratch scratch;
  Launch launch;
  launch.arguments = {"merge", "--model",  base_folder(c).string(),      "--adapter", adapter + "=0.5", "--quantization",
                      "none",  "--output", (scratch / "merged").string()};
  expect_error(launch, 2, {adapter + ": an adapter of method dora merges alone and with weight 1; leave the weight out"});
  launch.arguments[4] = adapter;
  launch.arguments.insert(launch.arguments.end(), {"--adapter", adapter});
  expect_error(launch, 2, {"merges alone and with weight 1; merge the adapters one after another"});
}

/// PEFT warns of missing tensors and computes without them; a value that is no number would blame the data.
TEST(DamagedAdapter, IsRefusedByEveryCommand) {
  const MethodCase c{"dora", "llama3"};
  const Scratch scratch;
  const PeftAdapter whole = read_peft_adapter(golden_folder(c) / "adapter_none");
  const auto write = [&](const std::string& name, bool damaged_value) {
    std::vector<AdapterTensor> tensors;
    std::vector<float> values;
    for (const auto& [tensor, matrix] : whole.tensors) {
      if (damaged_value || tensor.find("layers.1.mlp.up_proj") == std::string::npos) {
        tensors.push_back({tensor, matrix.shape, std::ssize(values), std::ssize(matrix.values)});
        values.insert(values.end(), matrix.values.begin(), matrix.values.end());
      }
    }
    values.back() = damaged_value ? NAN : values.back();
    write_peft_adapter(scratch / name, whole.config, tensors, values);
    return (scratch / name).string();
  };
  const std::string rows = training_rows(base_folder(c), scratch / "train.jsonl").string();
  for (const auto& [folder, text] :
       {std::pair{write("partial", false),
                  "adapter_config.json adapts model.layers.1.mlp.up_proj, and adapter_model.safetensors has "
                  "no tensors of it; the adapter was not saved whole, take another copy"},
        std::pair{write("nan", true), "has values that are not finite; take the adapter of an earlier checkpoint"}}) {
    Settings settings = settings_of(c, "none", rows, scratch / "out");
    settings["adapter.init_from"] = folder;
    expect_error(launch_of(settings, 1), 4, {folder, text});
    Launch score;
    score.arguments = {"score", "--model",  base_folder(c).string(),      "--adapter", folder, "--input",
                       rows,    "--output", (scratch / "scores").string()};
    expect_error_on_1_and_3_ranks(score, 4, {folder, text});
  }
  Launch inspect;
  inspect.arguments = {"inspect", (scratch / "nan").string()};
  expect_error(inspect, 4, {"has values that are not finite"});
}

/// A new adapter has PEFT's modules and factors of 1.
TEST(Ia3, StartsAsPeftDoes) {
  for (const char* base : {"llama3", "qwen3", "gpt2"}) {
    const MethodCase c{"ia3", base};
    const Scratch scratch;
    Settings settings = settings_of(c, "none", training_rows(base_folder(c), scratch / "train.jsonl"), scratch / "out");
    settings.erase("adapter.init_from");
    settings["train.max_steps"] = "1";
    settings["train.learning_rate"] = "0";
    const Finished shown = expect_success(launch_of(settings, 1));
    EXPECT_EQ(count_of(shown.out, "adapter    ia3, without r, alpha and dropout; fresh"), 1) << shown.out;
    EXPECT_EQ(count_of(shown.out, read_json(golden_folder(c) / "golden.json")["trainable"].get<std::string>()), 1) << shown.out;
    const PeftAdapter ours = read_peft_adapter(scratch / "out/adapter");
    const PeftAdapter theirs = read_peft_adapter(golden_folder(c) / "adapter_none");
    EXPECT_EQ(ours.config.target_modules, theirs.config.target_modules);
    EXPECT_EQ(ours.config.feedforward_modules, theirs.config.feedforward_modules);
    EXPECT_EQ(ours.tensors.size(), theirs.tensors.size());
    for (const auto& [name, matrix] : ours.tensors) {
      EXPECT_EQ(matrix.shape, theirs.tensors.at(name).shape);
      EXPECT_TRUE(std::all_of(matrix.values.begin(), matrix.values.end(), [](float l) { return l == 1.0F; })) << name;
    }
  }
}

/// Settings that name other things than the adapter that training starts from.
TEST(InitFrom, MustAgreeWithTheSettings) {
  const MethodCase c{"lora_patterns", "llama3"};
  const Scratch scratch;
  const Settings settings = settings_of(c, "none", training_rows(base_folder(c), scratch / "train.jsonl"), scratch / "out");
  const auto refuse = [&](const std::string& key, const std::string& value, const std::string& text) {
    Settings other = settings;
    other[key] = value;
    expect_error(launch_of(other, 1), 2, {text});
  };
  refuse("adapter.method", "dora", "adapter.method is \"dora\", but the adapter in adapter.init_from");
  refuse("adapter.rank_pattern", "{q_proj = 2}", "adapter.rank_pattern differs from that of the adapter in adapter.init_from");
  refuse("adapter.alpha_pattern", "{q_proj = 2}", "adapter.alpha_pattern differs from that of the adapter in adapter.init_from");
  refuse("adapter.exclude_modules", "q_proj", "adapter.exclude_modules names other layers than the adapter in adapter.init_from");
  refuse("adapter.layers_to_transform", "0", "adapter.layers_to_transform names other layers than the adapter");
  refuse("adapter.init", "gaussian", "adapter.init has no effect on the adapter in adapter.init_from");
  const MethodCase ia3{"ia3", "llama3"};
  const Settings of_ia3 = settings_of(ia3, "none", scratch / "train.jsonl", scratch / "ia3");
  const auto refuse_ia3 = [&](const std::string& key, const std::string& value, const std::string& text) {
    Settings other = of_ia3;
    other[key] = value;
    other.erase("adapter.method");
    expect_error(launch_of(other, 1), 2, {text});
  };
  refuse_ia3("adapter.loraplus_ratio", "4", "adapter.loraplus_ratio is an option of lora and dora, and adapter.method is ia3");
  Settings with_rank = of_ia3;
  with_rank["adapter.r"] = "16";  // a preset's, without meaning here
  with_rank["train.max_steps"] = "1";
  expect_success(launch_of(with_rank, 1));
}

TEST(AdaLora, ScheduleMustFitTheSteps) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["adapter.method"] = "adalora";
  settings["train.max_steps"] = "6";
  settings["adapter.adalora.tinit"] = "4";
  settings["adapter.adalora.tfinal"] = "2";
  expect_error(launch_of(settings, 1), 2,
               {"adapter.adalora.tinit (4) and adapter.adalora.tfinal (2) leave none of the 6 steps to take ranks in"});
  settings["adapter.adalora.target_r"] = "13";
  expect_error(launch_of(settings, 1), 2, {"adapter.adalora.target_r (13) must be at most adapter.adalora.init_r (12)"});
}

/// Plain LoRA with the same function, for PEFT and for vLLM; an adapter that has lost ranks does not train on as AdaLoRA.
TEST(AdaLora, IsExportedAsLora) {
  const MethodCase c{"adalora", "llama3"};
  const std::string adapter = (golden_folder(c) / "adapter_none").string();
  const json golden = read_json(golden_folder(c) / "golden.json");
  const Scratch scratch;
  const auto exported = [&](const std::string& reader) {
    Launch launch;
    launch.arguments = {"export",
                        "--for",
                        reader,
                        "--adapter",
                        adapter,
                        "--model",
                        base_folder(c).string(),
                        "--output",
                        (scratch / reader).string()};
    expect_success(launch);
    return read_peft_adapter(scratch / reader);
  };
  const PeftAdapter lora = exported("peft");
  EXPECT_EQ(lora.config.method, Method::lora);
  EXPECT_EQ(lora.tensors.size(), 22U);  // three of 14 modules have no ranks left
  EXPECT_LE(score_difference(
                c, {"--model", base_folder(c).string(), "--adapter", (scratch / "peft").string(), "--quantization", "none"},
                golden["none"]["logprobs"]),
            5e-5);
  const PeftAdapter for_vllm = exported("vllm");  // which wants last names as targets, and reads what the file has
  EXPECT_EQ(for_vllm.tensors.size(), lora.tensors.size());
  for (const auto& [name, matrix] : lora.tensors) {
    EXPECT_EQ(for_vllm.tensors.at(name).values, matrix.values);
  }
  Settings settings = settings_of(c, "none", training_rows(base_folder(c), scratch / "train.jsonl"), scratch / "out");
  settings["adapter.init_from"] = adapter;
  expect_error(launch_of(settings, 1), 2,
               {"has pruned ranks, and AdaLoRA starts with init_r of them in every module; make it plain LoRA"});
  Launch inspect;
  inspect.arguments = {"inspect", adapter};
  const Finished shown = expect_success(inspect);
  EXPECT_EQ(count_of(shown.out, "ranks left      28 of 56"), 1) << shown.out;
}

/// A new adapter has PEFT's tensors; its projections are PEFT's bits, in the folder or drawn by the reader.
TEST(Vera, StartsAsPeftDoes) {
  const MethodCase c{"vera", "llama3"};
  const Scratch scratch;
  for (const std::string save : {"true", "false"}) {
    Settings settings = settings_of(c, "none", training_rows(base_folder(c), scratch / "train.jsonl"), scratch / save);
    settings.erase("adapter.init_from");
    settings["adapter.target_modules"] = "all-linear";
    settings["adapter.r"] = "4";
    settings["adapter.vera.save_projection"] = save;
    settings["train.max_steps"] = "1";
    settings["train.learning_rate"] = "0";
    const Finished shown = expect_success(launch_of(settings, 2));
    EXPECT_EQ(count_of(shown.out, read_json(golden_folder(c) / "golden.json")["trainable"].get<std::string>()), 1) << shown.out;
    const PeftAdapter ours = read_peft_adapter(scratch / save / "adapter");
    const PeftAdapter theirs = read_peft_adapter(golden_folder(c) / "init_none");
    EXPECT_EQ(ours.tensors.size(), theirs.tensors.size());
    for (const auto& [name, matrix] : ours.tensors) {
      const float first = name.ends_with("lambda_d") ? 0.1F : 0.0F;
      EXPECT_EQ(matrix.shape, theirs.tensors.at(name).shape);
      EXPECT_TRUE(std::all_of(matrix.values.begin(), matrix.values.end(), [&](float value) { return value == first; })) << name;
    }
    EXPECT_EQ(ours.shared.size(), save == "true" ? 2U : 0U);
    for (const auto& [name, matrix] : ours.shared) {
      EXPECT_EQ(matrix.shape, theirs.shared.at(name).shape);
      EXPECT_EQ(matrix.values, theirs.shared.at(name).values);
    }
  }
}

/// A new adapter with patterns is saved with them.
TEST(Patterns, AreSavedForPeft) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["train.max_steps"] = "2";
  settings["adapter.rank_pattern"] = R"({q_proj = 2, "mlp.down_proj" = 6})";
  settings["adapter.alpha_pattern"] = "{q_proj = 7}";
  settings["adapter.exclude_modules"] = "k_proj";
  settings["adapter.layers_to_transform"] = "[0, 2]";
  settings["adapter.target_modules"] = "all-linear";
  settings["adapter.init"] = "gaussian";
  expect_success(launch_of(settings, 2));
  const PeftAdapter adapter = read_peft_adapter(scratch / "out/adapter");
  EXPECT_EQ(adapter.config.rank_pattern, (PathPattern<std::int64_t>{{"mlp.down_proj", 6}, {"q_proj", 2}}));
  EXPECT_EQ(adapter.config.alpha_pattern, (PathPattern<double>{{"q_proj", 7.0}}));
  EXPECT_EQ(adapter.tensors.size(), 2U * 6U * 2U);
  EXPECT_EQ(adapter.tensors.at("model.layers.2.mlp.down_proj.lora_A").shape[0], 6);
  EXPECT_FALSE(adapter.tensors.contains("model.layers.0.self_attn.k_proj.lora_A"));
}

}  // namespace
}  // namespace lora_dist::program::methods_test
