// Prompt learning against PEFT (tests/golden/make_prompts.py), on any mesh, resumed, and its errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "src/io/safetensors.h"
#include "tests/program/family_runs.h"

namespace lora_dist::program::prompts_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct PromptCase {
  const char* method;
  const char* base;
};

std::string name_of(const PromptCase& c) { return std::string(c.method) + "_" + c.base; }
fs::path golden_folder(const PromptCase& c) { return source("tests/golden/methods") / name_of(c); }
fs::path base_folder(const PromptCase& c) { return source("tests/golden/families") / c.base; }

std::vector<json> run_on_rows(const std::string& command, const PromptCase& c, const std::string& quantization,
                              const fs::path& adapter, const json& rows) {
  const Scratch scratch;
  std::string lines;
  for (const json& row : rows) {
    lines += json{{"id", 0}, {"input_ids", row}}.dump() + "\n";
  }
  put_file(scratch / "rows.jsonl", lines);
  Launch launch;
  launch.ranks = 1;
  launch.arguments = {command,
                      "--model",
                      base_folder(c).string(),
                      "--adapter",
                      adapter.string(),
                      "--quantization",
                      quantization,
                      "--input",
                      (scratch / "rows.jsonl").string(),
                      "--output",
                      (scratch / "out.jsonl").string()};
  if (quantization == "nf4") {
    launch.arguments.insert(launch.arguments.end(), {"--double-quant", "false"});
  }
  if (command == "generate") {
    launch.arguments.insert(launch.arguments.end(), {"--max-new-tokens", "12", "--ignore-generation-config"});
  }
  expect_success(launch);
  return read_lines(scratch / "out.jsonl");
}

void expect_scores(const std::vector<json>& scored, const json& expected, double tolerance) {
  ASSERT_EQ(scored.size(), expected.size());
  for (std::size_t row = 0; row < expected.size(); ++row) {
    const json& ours = scored[row]["logprobs"];  // the first is null, as without virtual tokens
    ASSERT_EQ(ours.size(), expected[row].size() + 1);
    EXPECT_TRUE(ours[0].is_null());
    for (std::size_t i = 0; i < expected[row].size(); ++i) {
      EXPECT_NEAR(ours[i + 1].get<double>(), expected[row][i].get<double>(), tolerance) << "row " << row << " token " << i + 1;
    }
  }
}

class Folders : public testing::TestWithParam<PromptCase> {};

TEST_P(Folders, OfPeftMeanTheSame) {
  const PromptCase& c = GetParam();
  const json golden = read_json(golden_folder(c) / "golden.json");
  const json rows = read_json(base_folder(c) / "golden.json")["rows"];
  for (const std::string quantization : {"none", "nf4"}) {
    if (!golden.contains(quantization)) {
      continue;
    }
    const fs::path adapter = golden_folder(c) / ("adapter_" + quantization);
    expect_scores(run_on_rows("score", c, quantization, adapter, rows), golden[quantization]["logprobs"],
                  quantization == "none" ? 5e-5 : 3e-4);
    const std::vector<json> answers = run_on_rows("generate", c, quantization, adapter, json::array({rows[1]}));
    std::vector<int> expected = golden[quantization]["greedy"].get<std::vector<int>>();
    expected.erase(std::ranges::find(expected, read_json(base_folder(c) / "config.json")["eos_token_id"].get<int>()),
                   expected.end());
    EXPECT_EQ(answers.at(0)["output_ids"].get<std::vector<int>>(), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Folders,
                         testing::Values(PromptCase{"prompt", "llama3"}, PromptCase{"prompt", "qwen3"},
                                         PromptCase{"prompt", "gpt2"}, PromptCase{"prompt", "gemma3"},
                                         PromptCase{"prompt", "granite"}, PromptCase{"prefix", "llama3"},
                                         PromptCase{"prefix", "qwen3"}, PromptCase{"prefix", "gpt2"},
                                         PromptCase{"prefix", "gemma3"}, PromptCase{"prefix", "mistral_window"},
                                         PromptCase{"p_tuning", "llama3"}, PromptCase{"p_tuning", "qwen3"},
                                         PromptCase{"p_tuning", "gpt2"}, PromptCase{"p_tuning_lstm", "llama3"},
                                         PromptCase{"prefix_projection", "llama3"}),
                         [](const auto& info) { return name_of(info.param); });

class Steps : public testing::TestWithParam<PromptCase> {};

/// From PEFT's start; a float base on one rank, an NF4 base cut over two TP ranks.
TEST_P(Steps, FollowPeft) {
  const PromptCase& c = GetParam();
  const json golden = read_json(golden_folder(c) / "golden.json");
  const Scratch scratch;
  const fs::path rows = training_rows(base_folder(c), scratch / "train.jsonl");
  for (const std::string quantization : {"none", "nf4"}) {
    Settings settings = steps_of(base_folder(c), quantization, rows, scratch / quantization);
    settings.erase("adapter.dropout");
    settings["adapter.init_from"] = (golden_folder(c) / ("init_" + quantization)).string();
    settings["parallel.tensor"] = quantization == "none" ? "1" : "2";
    const Finished run = expect_success(launch_of(settings, quantization == "none" ? 1 : 2));
    EXPECT_NE(run.out.find(golden["trainable"].get<std::string>().substr(0, 22)), std::string::npos) << run.out;
    const double loss = loss_difference(scratch / quantization, golden[quantization]["losses"]);
    const double adapter = largest_difference(read_peft_adapter(scratch / quantization / "adapter"),
                                              read_peft_adapter(golden_folder(c) / ("adapter_" + quantization)));
    EXPECT_LE(loss, quantization == "none" ? 1e-4 : 3e-4);
    EXPECT_LE(adapter, quantization == "none" ? 1e-3 : 3e-3);  // AdamW divides small gradients by their own size
    std::printf("%-16s %-4s: largest difference of loss %.2e, of the adapter %.2e\n", name_of(c).c_str(), quantization.c_str(),
                loss, adapter);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Steps,
                         testing::Values(PromptCase{"prompt", "llama3"}, PromptCase{"prompt", "qwen3"},
                                         PromptCase{"prompt", "gpt2"}, PromptCase{"prefix", "llama3"},
                                         PromptCase{"prefix", "qwen3"}, PromptCase{"prefix", "gpt2"}),
                         [](const auto& info) { return name_of(info.param); });

/// A method with its encoder.
struct RunCase {
  const char* name;
  const char* method;
  Settings encoder = {};
};
void PrintTo(const RunCase& each, std::ostream* out) { *out << each.name; }

/// The settings of short_run with five virtual tokens.
Settings prompt_run(const std::string& method, const fs::path& output) {
  Settings settings = short_run(output);
  for (const char* key : {"adapter.r", "adapter.alpha", "adapter.dropout", "adapter.target_modules"}) {
    settings.erase(key);
  }
  settings["adapter.method"] = method;
  settings[method == "prefix" ? "adapter.prefix.virtual_tokens" : "adapter.prompt.virtual_tokens"] = "5";
  settings["train.max_steps"] = "6";
  settings["train.schedule"] = "constant";
  settings["train.warmup_ratio"] = "0";
  return settings;
}
Settings prompt_run(const RunCase& c, const fs::path& output) {
  Settings settings = prompt_run(c.method, output);
  settings.insert(c.encoder.begin(), c.encoder.end());
  return settings;
}

class Runs : public testing::TestWithParam<RunCase> {};

/// With packing, recomputation and accumulation; stopped in the middle, and continued on other ranks.
TEST_P(Runs, HaveTheSameBitsOnAnyDataRanksAndResumed) {
  const Scratch scratch;
  const Finished shown = expect_success(launch_of(prompt_run(GetParam(), scratch / "straight"), 1));
  EXPECT_EQ(count_of(shown.out, std::string("adapter    ") + GetParam().method + ", 5 virtual tokens; fresh"), 1) << shown.out;
  for (const int ranks : {2, 4}) {
    const fs::path output = scratch / std::to_string(ranks);
    expect_success(launch_of(prompt_run(GetParam(), output), ranks));
    expect_same_training(output, scratch / "straight");
  }
  Settings cut = prompt_run(GetParam(), scratch / "cut");
  cut["train.max_steps"] = "3";
  expect_success(launch_of(cut, 2));
  cut["train.max_steps"] = "6";
  cut["train.recompute"] = "none";
  expect_success(launch_of(cut, 1));
  expect_same_training(scratch / "cut", scratch / "straight");
}

TEST_P(Runs, AreNearlyTheSameOnTensorParallelRanks) {
  const Scratch scratch;
  expect_success(launch_of(prompt_run(GetParam(), scratch / "straight"), 1));
  const std::vector<json> expected = column(read_lines(scratch / "straight/metrics.jsonl"), "loss");
  for (const int ranks : {2, 4}) {
    Settings settings = prompt_run(GetParam(), scratch / std::to_string(ranks));
    settings["parallel.tensor"] = "2";
    settings["parallel.sequence_parallel"] = ranks == 4 ? "true" : "false";
    expect_success(launch_of(settings, ranks));
    const std::vector<json> losses = column(read_lines(scratch / std::to_string(ranks) / "metrics.jsonl"), "loss");
    ASSERT_EQ(losses.size(), expected.size());
    for (std::size_t i = 0; i < losses.size(); ++i) {
      EXPECT_NEAR(losses[i].get<double>(), expected[i].get<double>(), 2e-5);
    }
    EXPECT_LE(largest_difference(read_peft_adapter(scratch / std::to_string(ranks) / "adapter"),
                                 read_peft_adapter(scratch / "straight/adapter")),
              1e-3);  // AdamW divides small gradients by their own size
  }
}

/// The printed configuration of a run trains the same; its folder is scored, inspected, evaluated and continued.
TEST_P(Runs, AreReadByTheOtherCommands) {
  const Scratch scratch;
  Settings settings = prompt_run(GetParam(), scratch / "out");
  settings["train.max_steps"] = "2";
  settings["data.validation"] = settings["data.train"];
  const std::string adapter = (scratch / "out/adapter").string();
  expect_success(launch_of(settings, 1));
  Launch again;
  again.arguments = {"train", "--cfg", (scratch / "out/config.resolved.toml").string(), "--set",
                     "output.dir=" + (scratch / "again").string()};
  expect_success(again);
  expect_same_training(scratch / "again", scratch / "out");
  Launch inspect;
  inspect.arguments = {"inspect", adapter, "--tensors"};
  const std::string shown = expect_success(inspect).out;
  for (const char* text : {"  virtual tokens  5\n", "  prompt_embeddings ", "[5, "}) {
    EXPECT_NE(shown.find(text), std::string::npos) << shown;
  }
  Settings eval = settings;
  std::erase_if(eval, [](const auto& setting) { return setting.first.starts_with("adapter."); });
  eval["output.dir"] = (scratch / "eval").string();
  Launch evaluate = launch_of(eval, 2, "eval");
  evaluate.arguments.insert(evaluate.arguments.end(), {"--adapter", adapter});
  expect_success(evaluate);
  const double last = read_lines(scratch / "out/eval.jsonl").back()["loss"].get<double>();
  EXPECT_NEAR(read_json(scratch / "eval/eval.json")["loss"].get<double>(), last, 1e-6);
  Settings more = eval;
  more["adapter.init_from"] = adapter;
  more["output.dir"] = (scratch / "more").string();
  if (read_peft_adapter(scratch / "out/adapter").config.reparametrized) {
    expect_error(launch_of(more, 1), 2, {adapter, "were trained through an encoder, which PEFT's folder does not keep"});
    return;
  }
  expect_success(launch_of(more, 1));
  EXPECT_EQ(read_peft_adapter(scratch / "more/adapter").config.virtual_tokens, 5);
}

INSTANTIATE_TEST_SUITE_P(
    All, Runs,
    testing::Values(
        RunCase{"prompt", "prompt"}, RunCase{"prefix", "prefix"}, RunCase{"p_tuning", "p_tuning"},
        RunCase{"p_tuning_lstm", "p_tuning", {{"adapter.prompt.encoder", "lstm"}, {"adapter.prompt.encoder_hidden", "12"}}},
        RunCase{"prefix_projection", "prefix", {{"adapter.prefix.projection", "true"}, {"adapter.prefix.hidden", "16"}}}),
    [](const auto& info) { return std::string(info.param.name); });

/// Rows of the embedding, whole or sharded, for the ids of a text (BOS, and the text repeated) or for random ids.
TEST(PromptInit, TakesRowsOfTheEmbedding) {
  const TensorInfo table =
      read_safetensors_header(source("demo/model/model.safetensors")).tensors.at("model.embed_tokens.weight");
  const std::vector<float> embedding = read_floats(table, 0, table.shape[0] * table.shape[1]);
  const auto width = static_cast<std::size_t>(table.shape[1]);
  const auto id_of = [&](const float* row) {
    for (std::size_t id = 0; id * width < embedding.size(); ++id) {
      if (std::equal(row, row + width, embedding.begin() + static_cast<std::ptrdiff_t>(id * width))) {
        return static_cast<int>(id);
      }
    }
    return -1;
  };
  const auto ids_after = [&](const Settings& more, int ranks) {
    const Scratch scratch;
    Settings settings = prompt_run("prompt", scratch / "out");
    settings["train.max_steps"] = "1";
    settings["train.learning_rate"] = "0";
    settings.insert(more.begin(), more.end());
    expect_success(launch_of(settings, ranks));
    const PeftAdapter adapter = read_peft_adapter(scratch / "out/adapter");
    std::vector<int> ids;
    for (std::size_t row = 0; row < 5; ++row) {
      ids.push_back(id_of(adapter.tensors.at("prompt_embeddings").values.data() + row * width));
    }
    return ids;
  };
  const Settings text = {{"adapter.prompt.init", "text"}, {"adapter.prompt.text", "Once"}};
  const std::vector<int> of_text = ids_after(text, 1);
  EXPECT_EQ(of_text[0], 1);  // BOS, as PEFT's tokenizer adds it
  EXPECT_TRUE(std::ranges::find(of_text, -1) == of_text.end());
  EXPECT_TRUE(std::find(of_text.begin() + 1, of_text.end(), 1) != of_text.end());  // the text is short, and is repeated
  EXPECT_EQ(ids_after(text, 3), of_text);
  Settings on_tensor_ranks = text;
  on_tensor_ranks["parallel.tensor"] = "2";
  EXPECT_EQ(ids_after(on_tensor_ranks, 4), of_text);
  on_tensor_ranks["parallel.sequence_parallel"] = "true";
  EXPECT_EQ(ids_after(on_tensor_ranks, 2), of_text);
  const std::vector<int> random = ids_after({{"adapter.prompt.init", "vocabulary"}}, 2);
  EXPECT_TRUE(std::ranges::find(random, -1) == random.end());
  EXPECT_NE(random, ids_after({{"adapter.prompt.init", "vocabulary"}, {"train.seed", "43"}}, 1));
}

TEST(PromptErrors, OptionsOfAnotherMethodAreRefused) {
  const Scratch scratch;
  const auto refused = [&](const Settings& more, const std::string& text) {
    Settings settings = prompt_run("prompt", scratch / "out");
    for (const auto& [key, value] : more) {
      settings[key] = value;
    }
    expect_error(launch_of(settings, 1), 2, {text});
  };
  refused({{"adapter.method", "lora"}},
          "adapter.prompt.virtual_tokens is an option of prompt and p_tuning, and adapter.method is lora; leave it out");
  refused({{"adapter.prompt.encoder", "lstm"}},
          "adapter.prompt.encoder is an option of p_tuning, and adapter.method is prompt; leave it out");
  refused({{"adapter.prefix.projection", "true"}},
          "adapter.prefix.projection is an option of prefix, and adapter.method is prompt; leave it out");
  refused({{"adapter.r", "4"}}, "adapter.r is an option of lora, dora, ia3, ln_tuning, vera, adalora and bottleneck, and");
  refused({{"adapter.target_modules", "q_proj"}},
          "adapter.target_modules is an option of lora, dora, ia3, ln_tuning, vera and adalora, and");
  Settings prefix = prompt_run("prefix", scratch / "out");
  prefix["adapter.prefix.hidden"] = "8";
  expect_error(launch_of(prefix, 1), 2, {"adapter.prefix.hidden is the width of the projection"});
  refused({{"adapter.prompt.init", "text"}}, "adapter.prompt.init = \"text\" needs the text: set adapter.prompt.text");
  refused({{"adapter.prompt.text", "Once"}}, "adapter.prompt.text has an effect only with adapter.prompt.init = \"text\"");
}

/// The demo model has 512 positions.
TEST(PromptErrors, VirtualTokensTakePositions) {
  const Scratch scratch;
  Settings settings = prompt_run("prompt", scratch / "out");
  settings["train.max_steps"] = "1";
  settings["adapter.prompt.virtual_tokens"] = "400";
  const Finished run = expect_success(launch_of(settings, 1));
  EXPECT_NE(
      (run.out + run.err)
          .find("data.max_length is 128, but the model has only 512 positions, 400 of them for virtual tokens: lowered to 112"),
      std::string::npos)
      << run.out << run.err;
  settings["adapter.prompt.virtual_tokens"] = "511";
  const std::string text = "511 virtual tokens leave no room for data: the model has only 512 positions; train fewer of them";
  settings["output.dir"] = (scratch / "none").string();
  expect_error(launch_of(settings, 2), 2, {text});
  expect_error(launch_of(settings, 0, "plan"), 2, {text});
}

TEST(PromptErrors, FoldersThatDoNotFitAreRefused) {
  const Scratch scratch;
  const PeftAdapter whole = read_peft_adapter(golden_folder({"prompt", "llama3"}) / "adapter_none");
  const auto write = [&](const std::string& name, const PeftConfig& config, std::vector<std::int64_t> shape) {
    const std::int64_t count = shape[0] * shape[1];
    const std::vector<AdapterTensor> tensors = {{"prompt_embeddings", std::move(shape), 0, count}};
    write_peft_adapter(scratch / name, config, tensors, std::vector<float>(static_cast<std::size_t>(count), 0.5F));
    return (scratch / name).string();
  };
  const std::string rows = training_rows(base_folder({"prompt", "llama3"}), scratch / "train.jsonl").string();
  const auto refused = [&](const std::string& folder, const std::string& text) {
    Launch score;
    score.arguments = {"score",     "--model",  base_folder({"prompt", "llama3"}).string(),
                       "--adapter", folder,     "--input",
                       rows,        "--output", (scratch / "scores").string()};
    expect_error_on_1_and_3_ranks(score, 4, {folder, text});
    Settings settings = steps_of(base_folder({"prompt", "llama3"}), "none", rows, scratch / "out");
    settings.erase("adapter.dropout");
    settings["adapter.init_from"] = folder;
    expect_error(launch_of(settings, 1), 4, {folder, text});
  };
  refused(write("narrow", whole.config, {3, 7}),
          "tensor prompt_embeddings has shape [3, 7], this model needs [3, 40]; the adapter belongs to another model");
  refused(write("short", whole.config, {2, 40}),
          "prompt_embeddings is [2, 40], and adapter_config.json says 3 virtual tokens; save the adapter again");
  const std::string empty = write("empty", whole.config, {3, 40});
  put_safetensors(fs::path(empty) / "adapter_model.safetensors", "{}", 0, 2);
  refused(empty, "holds no tensors; the adapter was not saved whole");
  put_file(fs::path(empty) / "adapter_config.json", R"({"peft_type": "PROMPT_TUNING"})");
  refused(empty, "num_virtual_tokens is missing");
}

/// No weight changes.
TEST(PromptErrors, NothingMerges) {
  const Scratch scratch;
  const std::string adapter = (golden_folder({"prompt", "llama3"}) / "adapter_none").string();
  const std::string model = base_folder({"prompt", "llama3"}).string();
  Launch launch;
  launch.arguments = {"merge", "--model", model, "--adapter", adapter, "--output", (scratch / "merged").string()};
  expect_error(launch, 2, {adapter + ": an adapter of method prompt does not merge: it changes no weights"});
  for (const std::vector<std::string>& reader : {std::vector<std::string>{"vllm"}, std::vector<std::string>{"llama.cpp"},
                                                 std::vector<std::string>{"gguf", "--type", "f32"}}) {
    launch.arguments = {"export", "--model", model, "--adapter", adapter, "--output", (scratch / "to.gguf").string(), "--for"};
    launch.arguments.insert(launch.arguments.end(), reader.begin(), reader.end());
    expect_error(launch, 4, {adapter + ": it puts virtual tokens before every text (its peft_type is PROMPT_TUNING)"});
  }
}

}  // namespace
}  // namespace lora_dist::program::prompts_test
