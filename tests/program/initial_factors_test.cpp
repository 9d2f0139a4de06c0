// LoRA adapters whose first values come from the weights, against PEFT (tests/golden/make_initial_factors.py).
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/program/method_runs.h"

namespace lora_dist::program::initial_factors_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path folder_of(const MethodCase& c) { return source("tests/golden/initial_factors") / name_of(c); }

constexpr double kOfFp32Factors = 1e-4;  // PEFT decomposes in fp32, this program in fp64

bool is_loftq(const MethodCase& c) { return std::string(c.method) == "loftq"; }

/// Settings of a new adapter with the golden's ranks.
Settings fresh_settings(const MethodCase& c, const fs::path& rows, const fs::path& output) {
  Settings settings = steps_of(base_folder(c), is_loftq(c) ? "nf4" : "none", rows, output);
  settings.erase("adapter.init_from");
  settings["adapter.init"] = c.method;
  settings["adapter.r"] = "3";
  settings["adapter.alpha"] = "6";
  settings["adapter.rank_pattern"] = R"({"mlp\\..*" = 5})";
  return settings;
}

double score(const MethodCase& c, const fs::path& adapter, const json& expected) {
  return score_difference(c,
                          {"--model", base_folder(c).string(), "--adapter", adapter.string(), "--quantization",
                           is_loftq(c) ? "nf4" : "none", "--double-quant", "false"},
                          expected);
}

class InitialFactors : public testing::TestWithParam<MethodCase> {};

/// Singular vectors have no sign of their own; what is trained from them has the same function.
TEST_P(InitialFactors, FollowPeftFromTheWeights) {
  const MethodCase& c = GetParam();
  const json golden = read_json(folder_of(c) / "golden.json")["fresh"];
  const Scratch scratch;
  const fs::path rows = training_rows(base_folder(c), scratch / "train.jsonl");
  for (const int ranks : {1, 4}) {
    const fs::path output = scratch / std::to_string(ranks);
    Settings settings = fresh_settings(c, rows, output);
    settings["parallel.tensor"] = ranks == 1 ? "1" : "2";
    const Finished shown = expect_success(launch_of(settings, ranks));
    EXPECT_EQ(count_of(shown.out, fmt::format("adapter    first values by {} in ", c.method)), 1) << shown.out;
    const double loss = loss_difference(output, golden["losses"]);
    const double log_probs = score(c, output / "adapter", golden["logprobs"]);
    EXPECT_LE(loss, 1e-4);
    EXPECT_LE(log_probs, is_loftq(c) ? 3e-4 : 2e-4);  // AdamW divides small gradients by their own size
    std::printf("%s on %d ranks: largest difference of loss %.2e, of a log-probability %.2e\n", name_of(c).c_str(), ranks, loss,
                log_probs);
  }
  if (is_loftq(c)) {
    const Finished shown = expect_success(launch_of(fresh_settings(c, rows, scratch / "noted"), 1));
    EXPECT_EQ(count_of(shown.err, "makes up for what quantization loses only where adapter.alpha / adapter.r"), 1);
    Launch merge;
    merge.arguments = {"merge",
                       "--model",
                       base_folder(c).string(),
                       "--adapter",
                       (scratch / "noted/adapter").string(),
                       "--output",
                       (scratch / "merged").string()};
    EXPECT_EQ(count_of(expect_success(merge).err, "starts from what quantization lost"), 0);
    fs::remove_all(scratch / "merged");
    merge.arguments.insert(merge.arguments.end(), {"--onto", "full"});
    EXPECT_EQ(count_of(expect_success(merge).err, "starts from what quantization lost of its base"), 1);
  }
  const PeftConfig written = read_peft_adapter(scratch / "1/adapter").config;
  EXPECT_EQ(written.init, LoraInit::uniform);  // plain LoRA over the unchanged base, of twice the rank
  EXPECT_EQ(written.r, is_loftq(c) ? 3 : 6);
  EXPECT_EQ(written.rank_pattern.front().second, is_loftq(c) ? 5 : 10);
  EXPECT_EQ(written.alpha, is_loftq(c) ? 6.0 : 12.0);
}

INSTANTIATE_TEST_SUITE_P(All, InitialFactors,
                         testing::Values(MethodCase{"pissa", "llama3"}, MethodCase{"pissa", "qwen3"}, MethodCase{"pissa", "gpt2"},
                                         MethodCase{"olora", "llama3"}, MethodCase{"olora", "qwen3"},
                                         MethodCase{"loftq", "llama3"}, MethodCase{"loftq", "gpt2"}),
                         [](const auto& info) { return name_of(info.param); });

/// Folders that PEFT saved relative to the changed base.
class UnconvertedFolders : public testing::TestWithParam<MethodCase> {};

TEST_P(UnconvertedFolders, MeanWhatPeftReads) {
  const MethodCase& c = GetParam();
  const json golden = read_json(folder_of(c) / "golden.json")["read"];
  EXPECT_LE(score(c, folder_of(c) / "adapter", golden["logprobs"]), kOfFp32Factors);
  const Scratch scratch;
  Launch merge;
  merge.arguments = {"merge",
                     "--model",
                     base_folder(c).string(),
                     "--adapter",
                     (folder_of(c) / "adapter").string(),
                     "--quantization",
                     "none",
                     "--onto",
                     "full",
                     "--output",
                     (scratch / "merged").string()};
  expect_success(merge);
  const double of_dtype = std::string(c.base) == "gpt2" ? 1e-4 : 0.2;  // the other models are stored in bf16
  EXPECT_LE(score_difference(c, {"--model", (scratch / "merged").string()}, golden["logprobs"]), of_dtype);
}

TEST_P(UnconvertedFolders, AreTrainedOnAsInPeft) {
  const MethodCase& c = GetParam();
  const json golden = read_json(folder_of(c) / "golden.json")["read"];
  const Scratch scratch;
  Settings settings = fresh_settings(c, training_rows(base_folder(c), scratch / "train.jsonl"), scratch / "out");
  for (const char* key : {"adapter.init", "adapter.r", "adapter.alpha", "adapter.rank_pattern"}) {
    settings.erase(key);
  }
  settings["adapter.init_from"] = (folder_of(c) / "init").string();
  const Finished shown = expect_success(launch_of(settings, 2));
  EXPECT_EQ(count_of(shown.out, fmt::format("dropout 0, init {}; from ", c.method)), 1) << shown.out;
  EXPECT_LE(loss_difference(scratch / "out", golden["losses"]), 1e-4);
  const PeftAdapter ours = read_peft_adapter(scratch / "out/adapter");
  double worst = 0.0;
  for (const auto& [name, matrix] : read_peft_adapter(folder_of(c) / "adapter").tensors) {
    const AdapterMatrix& doubled = ours.tensors.at(name);
    const auto width = static_cast<std::size_t>(matrix.shape[1]);
    const auto our_width = static_cast<std::size_t>(doubled.shape[1]);  // twice that for B
    for (std::size_t i = 0; i < matrix.values.size(); ++i) {
      const double our_value = static_cast<double>(doubled.values[i / width * our_width + i % width]);
      worst = std::max(worst, std::fabs(static_cast<double>(matrix.values[i]) - our_value));
    }
  }
  EXPECT_LE(worst, 1e-3);
  EXPECT_LE(score(c, scratch / "out/adapter", golden["logprobs"]), 1e-4);
}

TEST_P(UnconvertedFolders, AreExportedAsPlainLora) {
  const MethodCase& c = GetParam();
  const json golden = read_json(folder_of(c) / "golden.json")["read"];
  const Scratch scratch;
  Launch exported;
  const bool for_peft = std::string(c.base) == "gpt2";  // vLLM has no LoRA for it
  exported.arguments = {"export",
                        "--adapter",
                        (folder_of(c) / "adapter").string(),
                        "--for",
                        for_peft ? "peft" : "vllm",
                        "--output",
                        (scratch / "plain").string()};
  if (for_peft) {  // repeats the initialisation itself
    expect_success(exported);
    EXPECT_EQ(read_peft_adapter(scratch / "plain").config.init, LoraInit::pissa);
    exported.arguments.back() = (scratch / "again").string();
    exported.arguments.insert(exported.arguments.end(), {"--model", base_folder(c).string()});
    expect_success(exported);
    EXPECT_EQ(read_peft_adapter(scratch / "again").config.init, LoraInit::uniform);
    EXPECT_LE(score(c, scratch / "again", golden["logprobs"]), kOfFp32Factors);
    return;
  }
  expect_error(exported, 2, {"it was saved relative to weights that its init_lora_weights", "give the base model too (--model)"});
  exported.arguments.insert(exported.arguments.end(), {"--model", base_folder(c).string()});
  expect_success(exported);
  EXPECT_LE(score(c, scratch / "plain", golden["logprobs"]), kOfFp32Factors);
  Launch inspect;
  inspect.arguments = {"inspect", (folder_of(c) / "adapter").string()};
  EXPECT_EQ(
      count_of(expect_success(inspect).out, fmt::format("init            {}: relative to weights that it changed", c.method)), 1);
}

INSTANTIATE_TEST_SUITE_P(All, UnconvertedFolders,
                         testing::Values(MethodCase{"pissa", "llama3"}, MethodCase{"pissa", "gpt2"},
                                         MethodCase{"olora", "qwen3"}),
                         [](const auto& info) { return name_of(info.param); });

/// With dropout, recomputation and accumulation; stopped in the middle, and continued on other ranks. A quantized base.
class InitialFactorsBits : public testing::TestWithParam<const char*> {};

TEST_P(InitialFactorsBits, AreTheSameOnAnyDataRanksAndResumed) {
  const Scratch scratch;
  const auto settings_in = [&](const std::string& name) {
    Settings settings = short_run(scratch / name);
    settings["adapter.init"] = GetParam();
    settings["adapter.target_modules"] = "all-linear";
    settings["model.quantization"] = "nf4";
    settings["train.max_steps"] = "6";
    return settings;
  };
  expect_success(launch_of(settings_in("straight"), 1));
  expect_success(launch_of(settings_in("three"), 3));
  expect_same_training(scratch / "three", scratch / "straight");
  Settings cut = settings_in("cut");
  cut["checkpoint.every"] = "3";
  expect_success(launch_of(cut, 2));
  fs::remove_all(scratch / "cut/checkpoints/step_00000006");  // as if it had been interrupted
  const Finished resumed = expect_success(launch_of(cut, 1));
  EXPECT_EQ(count_of(resumed.out, "first values by"), 0) << resumed.out;
  expect_same_training(scratch / "cut", scratch / "straight");
}

INSTANTIATE_TEST_SUITE_P(All, InitialFactorsBits, testing::Values("pissa", "olora", "loftq"),
                         [](const auto& info) { return std::string(info.param); });

/// Trained copies of modules are no factors.
TEST(InitialFactorsBesideModules, LeaveTrainedModulesAlone) {
  const MethodCase c{"pissa", "llama3"};
  const Scratch scratch;
  const fs::path rows = training_rows(base_folder(c), scratch / "train.jsonl");
  Settings settings = fresh_settings(c, rows, scratch / "out");
  settings["adapter.modules_to_save"] = R"(["embed_tokens"])";
  settings["data.validation"] = toml_list({rows});
  settings["eval.every"] = "8";
  expect_success(launch_of(settings, 2));
  const PeftAdapter adapter = read_peft_adapter(scratch / "out/adapter");
  EXPECT_EQ(adapter.replaced.size(), 1U);
  EXPECT_EQ(adapter.tensors.at("model.layers.0.self_attn.q_proj.lora_A").shape[0], 6);
  Settings evaluation = settings;
  evaluation["output.dir"] = (scratch / "eval").string();
  Launch eval = launch_of(evaluation, 1, "eval");
  eval.arguments.insert(eval.arguments.end(), {"--adapter", (scratch / "out/adapter").string()});
  const double expected = read_lines(scratch / "out/eval.jsonl").back()["loss"].get<double>();
  expect_success(eval);
  EXPECT_NEAR(read_json(scratch / "eval/eval.json")["loss"].get<double>(), expected, 1e-5);
}

TEST(InitialFactorsErrors, NameTheKeyAndTheWayOut) {
  const MethodCase c{"pissa", "llama3"};
  const Scratch scratch;
  const fs::path rows = training_rows(base_folder(c), scratch / "train.jsonl");
  Settings settings = fresh_settings(c, rows, scratch / "out");
  settings.erase("adapter.rank_pattern");
  settings["adapter.r"] = "65";
  expect_error(launch_of(settings, 2), 2,
               {"adapter.r is 65 for model.layers.0.self_attn.", "singular values for init \"pissa\"; lower it"});
  settings["adapter.r"] = "3";
  settings["adapter.init"] = "loftq";
  expect_error(launch_of(settings, 1), 2, {"adapter.init = \"loftq\" starts from what quantization loses"});
  settings["adapter.init"] = "olora";
  settings["adapter.method"] = "dora";
  expect_error(launch_of(settings, 1), 2, {"adapter.init = \"olora\" is an option of lora, and adapter.method is dora"});
  settings["adapter.method"] = "lora";
  settings["model.path"] = source("tests/golden/prequantized/qwen2_fp4_nested_in_f32").string();
  settings.erase("model.quantization");
  settings.erase("model.double_quant");
  put_file(scratch / "train.jsonl", R"({"input_ids":[1,5,9,12,7],"labels":[1,5,9,12,7]})"
                                    "\n");
  settings["train.global_batch"] = "1";
  expect_error(launch_of(settings, 1), 4, {"an adapter that starts with init \"olora\" needs the model's float weights"});
}

}  // namespace
}  // namespace lora_dist::program::initial_factors_test
