// LoRA with trained embeddings, heads, norms and tokens against PEFT (tests/golden/methods, make_trained_modules.py).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/program/method_runs.h"

namespace lora_dist::program::trained_modules_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct TrainedCase : MethodCase {
  bool only_float = false;
};

Settings trained_settings(const MethodCase& c, const std::string& quantization, const fs::path& rows, const fs::path& output) {
  Settings settings = steps_of(base_folder(c), quantization, rows, output);
  settings["adapter.init_from"] = (golden_folder(c) / "init").string();
  return settings;
}

/// Of the tensors of linears, and of the trained copies and rows.
double difference_of(const PeftAdapter& ours, const PeftAdapter& theirs) {
  PeftAdapter replaced_ours;
  PeftAdapter replaced_theirs;
  replaced_ours.tensors = ours.replaced;
  replaced_theirs.tensors = theirs.replaced;
  if (replaced_theirs.tensors.contains("lm_head.token_adapter.trainable_tokens_delta") &&
      !replaced_ours.tensors.contains("lm_head.token_adapter.trainable_tokens_delta")) {
    replaced_theirs.tensors.erase("lm_head.token_adapter.trainable_tokens_delta");  // of a tied head, a second time
  }
  return std::max(largest_difference(ours, theirs), largest_difference(replaced_ours, replaced_theirs));
}

class TrainedModules : public testing::TestWithParam<TrainedCase> {};

/// A float base on one rank, an NF4 base cut over two TP ranks.
TEST_P(TrainedModules, FollowPeft) {
  const TrainedCase& c = GetParam();
  const json golden = read_json(golden_folder(c) / "golden.json");
  const Scratch scratch;
  const fs::path rows = training_rows(golden_folder(c), scratch / "train.jsonl");
  for (const std::string quantization : {"none", "nf4"}) {
    if (c.only_float && quantization == "nf4") {
      continue;
    }
    const fs::path output = scratch / quantization;
    Settings settings = trained_settings(c, quantization, rows, output);
    settings["parallel.tensor"] = quantization == "none" ? "1" : "2";
    const Finished shown = expect_success(launch_of(settings, quantization == "none" ? 1 : 2));
    EXPECT_EQ(count_of(shown.out, golden["trainable"].get<std::string>()), 1) << shown.out;
    const double loss = loss_difference(output, golden[quantization]["losses"]);
    const PeftAdapter theirs = read_peft_adapter(golden_folder(c) / ("adapter_" + quantization));
    const double adapter = difference_of(read_peft_adapter(output / "adapter"), theirs);
    EXPECT_LE(loss, 1e-4);
    EXPECT_LE(adapter, 1e-3);  // AdamW divides small gradients by their own size
    std::printf("%-22s %-4s: largest difference of loss %.2e, of the adapter %.2e\n", name_of(c).c_str(), quantization.c_str(),
                loss, adapter);
  }
}

/// Log-probabilities of a folder, with rows of the golden.
double folder_difference(const TrainedCase& c, const fs::path& adapter, const std::string& quantization, const json& expected) {
  const Scratch scratch;
  std::string lines;
  const json golden = read_json(golden_folder(c) / "golden.json");
  for (const json& row : golden["rows"]) {
    lines += json{{"id", 0}, {"input_ids", row}}.dump() + "\n";
  }
  put_file(scratch / "rows.jsonl", lines);
  Launch launch;
  launch.arguments = {"score",
                      "--model",
                      base_folder(c).string(),
                      "--adapter",
                      adapter.string(),
                      "--quantization",
                      quantization,
                      "--double-quant",
                      "false",
                      "--input",
                      (scratch / "rows.jsonl").string(),
                      "--output",
                      (scratch / "out").string()};
  expect_success(launch);
  return distance_of_rows(read_lines(scratch / "out"), expected);
}

TEST_P(TrainedModules, FoldersOfPeftMeanTheSame) {
  const TrainedCase& c = GetParam();
  const json golden = read_json(golden_folder(c) / "golden.json");
  EXPECT_LE(folder_difference(c, golden_folder(c) / "init", "none", golden["none"]["logprobs_init"]), 5e-5);
  for (const std::string quantization : {"none", "nf4"}) {
    if (!c.only_float || quantization == "none") {
      EXPECT_LE(
          folder_difference(c, golden_folder(c) / ("adapter_" + quantization), quantization, golden[quantization]["logprobs"]),
          quantization == "none" ? 5e-5 : 3e-4);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, TrainedModules,
                         testing::Values(TrainedCase{{"saved", "qwen3"}}, TrainedCase{{"saved", "gpt2"}},
                                         TrainedCase{{"saved_tied", "gemma2"}, true}, TrainedCase{{"tokens", "llama3"}},
                                         TrainedCase{{"tokens", "gpt2"}}, TrainedCase{{"tokens", "gemma2"}},
                                         TrainedCase{{"tokens", "qwen3"}}, TrainedCase{{"new_tokens", "llama3"}},
                                         TrainedCase{{"new_tokens", "qwen3"}}, TrainedCase{{"saved_new_tokens", "qwen3"}, true}),
                         [](const auto& info) { return name_of(info.param); });

/// With dropout, recomputation and accumulation; stopped in the middle, and continued on other ranks.
class TrainedBits : public testing::TestWithParam<const char*> {};

Settings trained_run(const fs::path& output, const std::string& what) {
  Settings settings = short_run(output);
  settings["train.max_steps"] = "6";
  settings["train.schedule"] = "constant";
  settings["train.warmup_ratio"] = "0";
  if (what == "saved") {
    settings["adapter.modules_to_save"] = R"(["embed_tokens", "norm"])";
    settings["adapter.ensure_weight_tying"] = "true";
  } else if (what == "tokens") {
    settings["adapter.trainable_token_indices"] = "[1, 403, 260]";
  } else {
    settings["tokenizer.add_tokens"] = R"(["<city>", "<dose>"])";
    settings["tokenizer.add_special_tokens"] = R"(["<|tool|>"])";
    settings["data.train"] = toml_list({fs::path(settings["output.dir"]).parent_path() / "rows.jsonl"});
    std::string lines;
    for (int i = 0; i < 40; ++i) {
      lines +=
          fmt::format(R"({{"prompt":"The girl number {} went to <city> and","completion":" took <dose> <|tool|> home."}})", i) +
          "\n";
    }
    put_file(fs::path(settings["output.dir"]).parent_path() / "rows.jsonl", lines);
  }
  return settings;
}

TEST_P(TrainedBits, AreTheSameOnAnyDataRanksAndResumed) {
  const Scratch scratch;
  const auto settings_in = [&](const std::string& name) { return trained_run(scratch / name, GetParam()); };
  expect_success(launch_of(settings_in("straight"), 1));
  for (const int ranks : {2, 4}) {
    const std::string name = std::to_string(ranks);
    expect_success(launch_of(settings_in(name), ranks));
    expect_same_training(scratch / name, scratch / "straight");
  }
  Settings cut = settings_in("cut");
  cut["checkpoint.every"] = "3";
  expect_success(launch_of(cut, 2));
  fs::remove_all(scratch / "cut/checkpoints/step_00000006");  // as if it had been interrupted
  cut["train.recompute"] = "none";
  expect_success(launch_of(cut, 1));
  expect_same_training(scratch / "cut", scratch / "straight");
}

/// T = 2 and 2 x 2 compute what one rank does, apart from the order of sums; so do chunks of tokens of their own.
TEST_P(TrainedBits, MeshesComputeTheSame) {
  const Scratch scratch;
  const auto run = [&](const std::string& name, int ranks, const std::string& tensor, const std::string& divided) {
    Settings settings = trained_run(scratch / name, GetParam());
    settings["adapter.dropout"] = "0";
    settings["parallel.tensor"] = tensor;
    settings["parallel.sequence_parallel"] = divided;
    expect_success(launch_of(settings, ranks));
    return read_peft_adapter(scratch / name / "adapter");
  };
  const PeftAdapter alone = run("alone", 1, "1", "false");
  const double two = difference_of(run("two", 2, "2", "false"), alone);
  const double divided = difference_of(run("divided", 2, "2", "true"), alone);
  const double four = difference_of(run("four", 4, "2", "false"), alone);
  EXPECT_LE(std::max({two, divided, four}), 2e-4);  // AdamW divides small gradients by their own size
  std::printf("%s: largest difference on two tensor ranks %.2e, with sequences divided %.2e, on 2 x 2 %.2e\n", GetParam(), two,
              divided, four);
}

INSTANTIATE_TEST_SUITE_P(All, TrainedBits, testing::Values("saved", "tokens", "added"),
                         [](const auto& info) { return std::string(info.param); });

/// New rows begin as the mean of the old ones; the folder has the tokenizer, and a run can start from it.
TEST(NewTokens, AreTrainedSavedAndReadAgain) {
  const Scratch scratch;
  Settings settings = trained_run(scratch / "out", "added");
  settings["train.max_steps"] = "1";
  settings["train.learning_rate"] = "0";
  settings["tokenizer.add_tokens"] = R"(["<city>", "<dose>", "</s>"])";
  const Finished shown = expect_success(launch_of(settings, 2));
  EXPECT_EQ(count_of(shown.out, "tokens     3 added, ids 512 to 514"), 1) << shown.out;
  const fs::path adapter = scratch / "out/adapter";
  const PeftAdapter ours = read_peft_adapter(adapter);
  EXPECT_EQ(ours.config.token_indices.at(""), (std::vector<std::int64_t>{512, 513, 514}));
  const AdapterMatrix& rows = ours.replaced.at("model.embed_tokens.token_adapter.trainable_tokens_delta");
  EXPECT_EQ(rows.shape, (std::vector<std::int64_t>{3, 64}));
  for (std::size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(rows.values[i], rows.values[64 + i]);
    EXPECT_EQ(rows.values[i], rows.values[128 + i]);
  }
  const json tokenizer = read_json(adapter / "tokenizer.json");
  EXPECT_EQ(tokenizer["added_tokens"].back()["content"], "<|tool|>");
  EXPECT_EQ(tokenizer["added_tokens"].back()["id"], 514);
  EXPECT_TRUE(tokenizer["added_tokens"].back()["special"].get<bool>());

  put_file(scratch / "text.jsonl", R"({"id":1,"text":"to <city> <|tool|>"})"
                                   "\n");
  const auto score = [&](const std::vector<std::string>& more) {
    Launch launch;
    launch.arguments = {"score",
                        "--model",
                        source("demo/model").string(),
                        "--input",
                        (scratch / "text.jsonl").string(),
                        "--output",
                        (scratch / "scores").string()};
    launch.arguments.insert(launch.arguments.end(), more.begin(), more.end());
    expect_success(launch);
    return read_lines(scratch / "scores")[0]["input_ids"].get<std::vector<int>>();
  };
  const std::vector<int> ids = score({"--adapter", adapter.string()});
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 512), 1);
  EXPECT_EQ(ids.back(), 514);
  const std::vector<int> of_base = score({});
  EXPECT_LT(*std::max_element(of_base.begin(), of_base.end()), 512);

  Launch generate;
  generate.arguments = {"generate",  "--model",          source("demo/model").string(),
                        "--adapter", adapter.string(),   "--prompt",
                        "to <city>", "--max-new-tokens", "3"};
  expect_success(generate);
  Launch inspect;
  inspect.arguments = {"inspect", adapter.string()};
  const Finished seen = expect_success(inspect);
  EXPECT_EQ(count_of(seen.out, "trained tokens of model.embed_tokens [3, 64]"), 1) << seen.out;

  Settings again = settings;  // the tokens are there already
  again["output.dir"] = (scratch / "again").string();
  again["adapter.init_from"] = adapter.string();
  again.erase("adapter.target_modules");
  again.erase("adapter.r");
  again.erase("adapter.alpha");
  const Finished noted = expect_success(launch_of(again, 1));
  EXPECT_EQ(count_of(noted.out + noted.err, "tokenizer.add_tokens: \"<city>\" is a token already (id 512), and stays as it is"),
            1)
      << noted.out << noted.err;
  EXPECT_EQ(read_peft_adapter(scratch / "again/adapter").replaced.size(), 1U);
  again["tokenizer.add_tokens"] = R"(["<more>"])";
  expect_error(launch_of(again, 1), 2, {"has no row for \"<more>\"; add tokens where an adapter is new"});

  Launch merge;
  merge.arguments = {"merge",          "--model",  source("demo/model").string(), "--adapter",
                     adapter.string(), "--output", (scratch / "merged").string()};
  expect_error(merge, 2, {"it has tokens up to id 514, and the model's embedding 512 rows", "merge it in PEFT"});
  Launch plan = launch_of(settings, 1, "plan");
  const Finished planned = expect_success(plan);
  EXPECT_EQ(count_of(planned.out, "vocabulary 515"), 1) << planned.out;
}

TEST(NewTokens, ThatCannotBeAreRefused) {
  const Scratch scratch;
  const auto refuse = [&](const std::string& key, const std::string& value, const std::vector<std::string>& text,
                          const Settings& more = {}) {
    Settings settings = trained_run(scratch / "out", "added");
    settings.insert(more.begin(), more.end());
    for (const auto& [name, other] : more) {
      settings[name] = other;
    }
    settings[key] = value;
    expect_error(launch_of(settings, 1), 2, text);
  };
  refuse("tokenizer.add_tokens", R"([""])", {"tokenizer.add_tokens"});
  refuse("tokenizer.add_tokens", R"(["<a>", "<a>"])", {"tokenizer.add_tokens: \"<a>\" is given twice"});
  refuse("tokenizer.add_tokens", R"(["<|tool|>"])", {"tokenizer.add_special_tokens: \"<|tool|>\" is given twice"});
  refuse("adapter.modules_to_save", R"(["embed_tokens"])", {"set adapter.ensure_weight_tying = true"});
  refuse("adapter.method", "ia3", {"tokenizer.add_tokens is an option of lora and dora, and adapter.method is ia3"},
         {{"adapter.target_modules", "\"all-linear\""}});
  refuse("adapter.method", R"(["lora", "bottleneck"])", {"works with one method alone, and adapter.method has several"});
}

/// Factors that are made from the weights leave the tables as they are: the first loss is that of the base.
TEST(TrainedModulesWithPissa, BeginAsTheBase) {
  const Scratch scratch;
  std::vector<double> losses;
  for (const std::string init : {"default", "pissa"}) {
    Settings settings = trained_run(scratch / init, "saved");
    settings["adapter.init"] = init;
    settings["adapter.dropout"] = "0";
    settings["train.max_steps"] = "1";
    settings["model.quantization"] = "none";
    expect_success(launch_of(settings, 2));
    losses.push_back(read_lines(scratch / init / "metrics.jsonl")[0]["loss"].get<double>());
  }
  EXPECT_NEAR(losses[1], losses[0], 1e-4);
}

TEST(TrainedModulesInitFrom, MustAgreeWithTheSettings) {
  const MethodCase c{"tokens", "llama3"};
  const Scratch scratch;
  const Settings settings =
      trained_settings(c, "none", training_rows(golden_folder(c), scratch / "train.jsonl"), scratch / "out");
  for (const auto& [key, value] : {std::pair{"adapter.modules_to_save", "[\"norm\"]"},
                                   {"adapter.ensure_weight_tying", "true"},
                                   {"adapter.trainable_token_indices", "[5]"}}) {
    Settings other = settings;
    other[key] = value;
    expect_error(launch_of(other, 1), 2, {std::string(key) + " differs from that of the adapter in adapter.init_from"});
  }
}

/// A merged folder computes what base and adapter do.
TEST(TrainedModulesMerge, ReplacesTheModelsValues) {
  for (const MethodCase& c : {MethodCase{"saved", "qwen3"}, MethodCase{"tokens", "gpt2"}, MethodCase{"saved_tied", "gemma2"}}) {
    const Scratch scratch;
    const std::string adapter = (golden_folder(c) / "adapter_none").string();
    Launch merge;
    merge.arguments = {"merge", "--model",  base_folder(c).string(),       "--adapter",      adapter, "--onto",
                       "full",  "--output", (scratch / "merged").string(), "--quantization", "none"};
    expect_success(merge);
    const auto score = [&](const std::vector<std::string>& model) {
      return scores_of(model, score_rows(c, scratch / "rows.jsonl"), scratch / "scores");
    };
    const auto merged = score({"--model", (scratch / "merged").string()});
    EXPECT_LE(largest_change(merged, score({"--model", base_folder(c).string(), "--adapter", adapter, "--quantization", "none"})),
              3e-2)  // tables stored in bf16 are rounded
        << name_of(c);
    EXPECT_GT(largest_change(merged, score({"--model", base_folder(c).string()})), 1e-2) << name_of(c);
    merge.arguments.push_back("--adapter");
    merge.arguments.push_back(adapter);
    expect_error(merge, 2, {"merges alone and with weight 1"});
  }
  const MethodCase apart{"saved", "gpt2"};
  Launch merge;
  merge.arguments = {"merge",
                     "--model",
                     base_folder(apart).string(),
                     "--adapter",
                     (golden_folder(apart) / "adapter_none").string(),
                     "--output",
                     "/nonexistent/merged",
                     "--quantization",
                     "none"};
  expect_error(merge, 2, {"its head was trained apart from the embedding, which are one tensor in this model"});
}

TEST(TrainedModulesExport, IsForPeftAlone) {
  const MethodCase c{"tokens", "llama3"};
  const Scratch scratch;
  const auto exported = [&](const std::string& reader) {
    Launch launch;
    launch.arguments = {"export",
                        "--for",
                        reader,
                        "--adapter",
                        (golden_folder(c) / "adapter_none").string(),
                        "--model",
                        base_folder(c).string(),
                        "--output",
                        (scratch / (reader + (reader == "llama.cpp" ? ".gguf" : ""))).string()};
    return launch;
  };
  expect_success(exported("peft"));
  EXPECT_EQ(difference_of(read_peft_adapter(scratch / "peft"), read_peft_adapter(golden_folder(c) / "adapter_none")), 0.0);
  expect_error(exported("vllm"), 4, {"it has trainable_token_indices, which vLLM does not take; merge the adapter"});
  expect_error(exported("llama.cpp"), 4, {"it has trainable_token_indices, which llama.cpp does not take; merge the adapter"});
}

}  // namespace
}  // namespace lora_dist::program::trained_modules_test
