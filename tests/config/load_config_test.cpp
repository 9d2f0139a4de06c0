// Reading configurations: precedence, types, ranges, and all error messages.
#include "src/config/load_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "src/config/config_keys.h"
#include "src/config/read_toml.h"
#include "src/core/error.h"
#include "tests/support/scratch.h"

namespace lora_dist::load_config_test {
namespace {

using testing::HasSubstr;

class LoadConfig : public testing::Test {
 protected:
  Config load(const std::string& text, const std::vector<std::string>& sets = {}) {
    return load_config(folder_.write("x.toml", text), sets);
  }
  /// The error message for a file; its path is shortened to x.toml.
  std::string error_of(const std::string& text, const std::vector<std::string>& sets = {}) {
    try {
      load(text, sets);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      std::string message = error.what();
      const std::string path = folder_.path().string() + "/";
      if (const std::size_t at = message.find(path); at != std::string::npos) {
        message.erase(at, path.size());
      }
      return message;
    }
    return "no error";
  }
  std::string error_of_set(const std::string& setting) { return error_of("", {setting}); }

  Scratch folder_;
};

TEST_F(LoadConfig, DefaultsAreThoseOfTheDocumentation) {
  const Config config = load_config("", {});
  EXPECT_EQ(config.model.quantization, Quantization::nf4);
  EXPECT_TRUE(config.model.double_quant);
  EXPECT_EQ(config.model.block_size, 64);
  EXPECT_EQ(config.adapter.r, 16);
  EXPECT_EQ(config.adapter.alpha, 32.0);
  EXPECT_EQ(config.adapter.dropout, 0.05);
  EXPECT_EQ(config.adapter.target_modules, std::vector<std::string>{"all-linear"});
  EXPECT_EQ(config.data.validation_split, 0.05);
  EXPECT_EQ(config.data.max_length, 1024);
  EXPECT_EQ(config.data.bad_rows, BadRows::error);
  EXPECT_EQ(config.data.max_bad_rows, 100);
  EXPECT_EQ(config.train.seed, 42);
  EXPECT_EQ(config.train.epochs, 3.0);
  EXPECT_EQ(config.train.global_batch, 64);
  EXPECT_EQ(config.train.micro_batch, 4);
  EXPECT_EQ(config.train.learning_rate, 2e-4);
  EXPECT_EQ(config.train.recompute, Recompute::block);
  EXPECT_EQ(config.eval.metrics, (std::vector<Metric>{Metric::loss, Metric::perplexity}));
  EXPECT_EQ(config.checkpoint.every, 100);
  EXPECT_EQ(config.checkpoint.resume.kind, Resume::newest);
  EXPECT_EQ(config.data.cache_dir.kind, TokenCache::output_dir);
  EXPECT_EQ(config.output.dir, "runs/unnamed");
  EXPECT_EQ(config.origins.at("adapter.r"), "default");
}

TEST_F(LoadConfig, SetsGoBeforeTheFileAndTheFileBeforeDefaults) {
  const Config config = load("[adapter]\nr = 4\nalpha = 8\n", {"adapter.r=2", "adapter.r = 3"});
  EXPECT_EQ(config.adapter.r, 3);
  EXPECT_EQ(config.adapter.alpha, 8.0);
  EXPECT_EQ(config.adapter.dropout, 0.05);
  EXPECT_EQ(config.origins.at("adapter.r"), "--set");
  EXPECT_EQ(config.origins.at("adapter.alpha"), (folder_.path() / "x.toml").string() + ":3");
  EXPECT_EQ(config.origins.at("adapter.dropout"), "default");
  EXPECT_EQ(config.output.dir, "runs/x");
}

TEST_F(LoadConfig, EveryTypeOfValue) {
  const Config config = load(R"(
adapter.alpha = 12          # dotted keys are TOML too
[model]
path = "models/a b"
[data]
train = "one.jsonl"         # a list of one
validation = ["a.jsonl", "b.jsonl"]
packing = false
[parallel]
base_shards = 1
[train]
epochs = 0.5
seed = 9223372036854775807
)");
  EXPECT_EQ(config.adapter.alpha, 12.0);
  EXPECT_EQ(config.model.path, "models/a b");
  EXPECT_EQ(config.data.train, (std::vector<std::string>{"one.jsonl"}));
  EXPECT_EQ(config.data.validation, (std::vector<std::string>{"a.jsonl", "b.jsonl"}));
  EXPECT_FALSE(config.data.packing);
  EXPECT_EQ(config.parallel.base_shards, (BaseShards{BaseShards::Of::count, 1}));
  EXPECT_EQ(config.train.epochs, 0.5);
  EXPECT_EQ(config.train.seed, std::numeric_limits<std::int64_t>::max());
}

TEST_F(LoadConfig, ASettingIsTomlAndElseAString) {
  const Config config =
      load("", {"model.path=models/llama", "output.dir=2024", "data.train=[\"a\", \"b\"]", "data.validation=c.jsonl",
                "adapter.target_modules=all-linear", "train.learning_rate=1e-3", "data.shuffle=false",
                "checkpoint.resume=\"never\"", "adapter.init_from=", "parallel.base_shards=1"});
  EXPECT_EQ(config.model.path, "models/llama");
  EXPECT_EQ(config.output.dir, "2024");
  EXPECT_EQ(config.data.train, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config.data.validation, (std::vector<std::string>{"c.jsonl"}));
  EXPECT_EQ(config.adapter.target_modules, (std::vector<std::string>{"all-linear"}));
  EXPECT_EQ(config.train.learning_rate, 1e-3);
  EXPECT_FALSE(config.data.shuffle);
  EXPECT_EQ(config.checkpoint.resume.kind, Resume::nothing);
  EXPECT_EQ(config.adapter.init_from, "");
  EXPECT_EQ(config.parallel.base_shards, (BaseShards{BaseShards::Of::count, 1}));
}

TEST_F(LoadConfig, RangesNameFileLineKeyAndValue) {
  EXPECT_EQ(error_of("# first\n[adapter]\nr = 0\n"), "x.toml:3: adapter.r must be at least 1 (got 0)");
  EXPECT_EQ(error_of_set("adapter.r=0"), "--set adapter.r=0: adapter.r must be at least 1 (got 0)");
  EXPECT_EQ(error_of_set("adapter.r=99999999999"),
            "--set adapter.r=99999999999: adapter.r must be at most 65536 (got 99999999999)");
  EXPECT_EQ(error_of("[adapter]\ndropout = 1\n"), "x.toml:2: adapter.dropout must be below 1 (got 1)");
  EXPECT_EQ(error_of("[adapter]\ndropout = -0.1\n"), "x.toml:2: adapter.dropout must be at least 0 (got -0.1)");
  EXPECT_EQ(error_of("[adapter]\nalpha = 0\n"), "x.toml:2: adapter.alpha must be above 0 (got 0)");
  EXPECT_EQ(error_of("[train]\nlearning_rate = -1\n"), "x.toml:2: train.learning_rate must be at least 0 (got -1)");
  EXPECT_EQ(error_of("[train]\nbeta2 = 1.0\n"), "x.toml:2: train.beta2 must be below 1 (got 1)");
  EXPECT_EQ(error_of("[train]\neps = nan\n"), "x.toml:2: train.eps must be a finite number (got nan)");
  EXPECT_EQ(error_of("[train]\nmax_grad_norm = inf\n"), "x.toml:2: train.max_grad_norm must be a finite number (got inf)");
  EXPECT_EQ(error_of("[train]\nwarmup_ratio = 1.5\n"), "x.toml:2: train.warmup_ratio must be at most 1 (got 1.5)");
  EXPECT_EQ(error_of("[model]\nblock_size = 48\n"), "x.toml:2: model.block_size must be a power of two (got 48)");
  EXPECT_EQ(error_of("[checkpoint]\nkeep = 0\n"), "x.toml:2: checkpoint.keep must be at least 1 (got 0)");
}

TEST_F(LoadConfig, WrongTypes) {
  EXPECT_EQ(error_of("[adapter]\nr = 3.5\n"), "x.toml:2: adapter.r must be a whole number (got 3.5)");
  EXPECT_THAT(error_of("[adapter]\nr = \"8\"\n"), HasSubstr("x.toml:2: adapter.r must be a whole number (got "));
  EXPECT_EQ(error_of("[adapter]\nalpha = true\n"), "x.toml:2: adapter.alpha must be a number (got true)");
  EXPECT_EQ(error_of("[data]\npacking = 1\n"), "x.toml:2: data.packing must be true or false (got 1)");
  EXPECT_EQ(error_of("[model]\npath = 7\n"), "x.toml:2: model.path must be a string in quotes (got 7)");
  EXPECT_EQ(error_of("[data]\ntrain = [1, 2]\n"), "x.toml:2: data.train must be a list of strings (got [ 1, 2 ])");
  EXPECT_EQ(error_of("[data]\ntrain = 1979-05-27\n"), "x.toml:2: data.train must be a list of strings (got 1979-05-27)");
  EXPECT_THAT(error_of("[adapter.r]\nx = 1\n"), HasSubstr("adapter.r must be a whole number (got "));
  EXPECT_THAT(error_of_set("adapter.r="), HasSubstr("--set adapter.r=: adapter.r must be a whole number (got "));
  EXPECT_EQ(error_of_set("data.train=[a, b]"),
            "--set data.train=[a, b]: data.train is not a TOML list; write it as 'data.train=[\"first\", \"second\"]'");
}

TEST_F(LoadConfig, WordsAndLists) {
  EXPECT_EQ(error_of("[model]\nquantization = \"nf3\"\n"),
            "x.toml:2: model.quantization must be one of none, nf4, fp4, int8 (got \"nf3\"; the nearest is nf4)");
  EXPECT_EQ(error_of("[adapter]\ntarget_modules = []\n"), "x.toml:2: adapter.target_modules must name at least one");
  EXPECT_EQ(error_of("[adapter]\ntarget_modules = [\"q_proj\", \"q_proj\"]\n"),
            "x.toml:2: adapter.target_modules names \"q_proj\" twice");
  EXPECT_EQ(error_of("[adapter]\ntarget_modules = [\"q_proj\", \"all-linear\"]\n"),
            "x.toml:2: adapter.target_modules is either \"all-linear\" or a list of names, not both");
  EXPECT_EQ(error_of("[adapter]\ntarget_modules = [\"\"]\n"), "x.toml:2: adapter.target_modules must not be empty");
  EXPECT_EQ(error_of("[model]\npath = \"\"\n"), "x.toml:2: model.path must not be empty");
  EXPECT_EQ(error_of("[model]\npath = \"a\\nb\"\n"),
            "x.toml:2: model.path must not contain control characters (got \"a\\u000Ab\")");
  EXPECT_EQ(error_of_set("model.path=a\xFFz"), "--set model.path=a\xFFz: model.path must be UTF-8 text");
  EXPECT_EQ(error_of("[eval]\nmetrics = [\"loss\", \"los\"]\n"),
            "x.toml:2: eval.metrics must be one of loss, perplexity (got \"los\"; the nearest is loss)");
  EXPECT_EQ(error_of("[eval]\nmetrics = [\"loss\", \"loss\"]\n"), "x.toml:2: eval.metrics names \"loss\" twice");
  EXPECT_EQ(error_of("[eval]\nmetrics = []\n"), "x.toml:2: eval.metrics must name at least one");
  EXPECT_EQ(error_of("[data]\ntrain_on = \"prompt\"\n"),
            "x.toml:2: data.train_on must be one of completion, all (got \"prompt\"; the nearest is all)");
  EXPECT_EQ(error_of("[data]\noverlong = \"keep\"\n"),
            "x.toml:2: data.overlong must be one of truncate, drop, error (got \"keep\"; the nearest is drop)");
  EXPECT_EQ(error_of("[data]\nbad_rows = \"ignore\"\n"),
            "x.toml:2: data.bad_rows must be one of error, skip (got \"ignore\"; the nearest is error)");
  EXPECT_EQ(error_of("[train]\nschedule = \"exponential\"\n"),
            "x.toml:2: train.schedule must be one of constant, linear, cosine (got \"exponential\"; the nearest is constant)");
  EXPECT_EQ(error_of("[parallel]\nbase_shards = 0\n"),
            "x.toml:2: parallel.base_shards must be \"auto\", \"all\", \"node\" or a number of ranks (got \"0\")");
  EXPECT_EQ(error_of("[parallel]\nbase_shards = \"some\"\n"),
            "x.toml:2: parallel.base_shards must be \"auto\", \"all\", \"node\" or a number of ranks (got \"some\")");
}

TEST_F(LoadConfig, NumbersByModuleAndListsOfNumbers) {
  const Config config = load(
      "[adapter]\nlayers_to_transform = 3\nalpha_pattern = {v_proj = 7}\n[adapter.rank_pattern]\nq_proj = 4\n"
      "'layers\\.0\\..*' = 32\n",
      {"adapter.exclude_modules=k_proj", "adapter.init=gaussian", "adapter.loraplus_ratio=16"});
  EXPECT_EQ(config.adapter.layers_to_transform, std::vector<std::int64_t>{3});
  EXPECT_EQ(config.adapter.rank_pattern, (PathPattern<std::int64_t>{{"layers\\.0\\..*", 32}, {"q_proj", 4}}));  // sorted
  EXPECT_EQ(config.adapter.alpha_pattern, (PathPattern<double>{{"v_proj", 7.0}}));
  EXPECT_EQ(config.adapter.exclude_modules, std::vector<std::string>{"k_proj"});
  EXPECT_EQ(config.adapter.init, LoraInit::gaussian);
  EXPECT_EQ(config.adapter.loraplus_ratio, 16.0);
  EXPECT_EQ(find_key("adapter.rank_pattern")->text(config), "{\"layers\\\\.0\\\\..*\" = 32, \"q_proj\" = 4}");
  EXPECT_EQ(load("", {"adapter.rank_pattern={q_proj = 2}", "adapter.layers_to_transform=[0, 2]"}).adapter.rank_pattern.size(),
            1U);
  EXPECT_THAT(error_of("[adapter]\nrank_pattern = 4\n"),
              HasSubstr("adapter.rank_pattern must be a table from module names to numbers, as {q_proj = 8} (got 4)"));
  EXPECT_EQ(error_of("[adapter]\nrank_pattern = {q_proj = 0}\n"),
            "x.toml:2: adapter.rank_pattern of \"q_proj\" must be at least 1 (got 0)");
  EXPECT_EQ(error_of("[adapter]\nalpha_pattern = {q_proj = true}\n"),
            "x.toml:2: adapter.alpha_pattern of \"q_proj\" must be a number (got true)");
  EXPECT_EQ(error_of("[adapter]\nalpha_pattern = {\"\" = 1}\n"),
            "x.toml:2: adapter.alpha_pattern has a name that must not be empty");
  EXPECT_EQ(error_of("[adapter]\nlayers_to_transform = [1, 1]\n"), "x.toml:2: adapter.layers_to_transform names 1 twice");
  EXPECT_EQ(error_of("[adapter]\nlayers_to_transform = [-1]\n"),
            "x.toml:2: adapter.layers_to_transform must be at least 0 (got -1)");
}

TEST_F(LoadConfig, OptionsOfAMethodHaveTheirTableAndTheirMethod) {
  const Config config = load("[adapter]\nmethod = 'ia3'\n[adapter.ia3]\nfeedforward_modules = ['down_proj']\n");
  EXPECT_EQ(config.adapter.ia3_feedforward_modules, std::vector<std::string>{"down_proj"});
  EXPECT_EQ(load("", {"adapter.method=ia3", "adapter.ia3.feedforward_modules=fc2"}).adapter.ia3_feedforward_modules,
            std::vector<std::string>{"fc2"});
  EXPECT_EQ(error_of("[adapter.ia3]\nfeedforward = ['x']\n"),
            "x.toml:2: unknown key adapter.ia3.feedforward; the nearest known key is adapter.ia3.feedforward_modules");
  EXPECT_EQ(error_of("[adapter.ia3]\nfeedforward_modules = ['x']\n"),
            "x.toml:2: adapter.ia3.feedforward_modules is an option of ia3, and adapter.method is lora; leave it out");
  for (const std::string setting : {"adapter.rslora=true", "adapter.rank_pattern={q_proj = 2}",
                                    "adapter.alpha_pattern={q_proj = 2}", "adapter.init=gaussian", "adapter.loraplus_ratio=4"}) {
    EXPECT_EQ(error_of("[adapter]\nmethod = 'ia3'\n", {setting}),
              "--set " + setting + ": " + setting.substr(0, setting.find('=')) +
                  " is an option of lora and dora, and adapter.method is ia3; leave it out");
  }
}

TEST_F(LoadConfig, TablesOfVeraAndAdaLora) {
  const AdapterConfig vera =
      load("[adapter]\nmethod = 'vera'\n[adapter.vera]\nd_initial = 0.5\nprojection_key = 7\nsave_projection = false\n").adapter;
  EXPECT_EQ(vera.vera_d_initial, 0.5);
  EXPECT_EQ(vera.vera_projection_key, 7);
  EXPECT_FALSE(vera.vera_save_projection);
  const AdaLoraOptions options =
      load(
          "[adapter]\nmethod = 'adalora'\n[adapter.adalora]\ninit_r = 6\ntarget_r = 3\ntinit = 2\ntfinal = 4\ndelta_t = 5\n"
          "beta1 = 0.7\nbeta2 = 0.6\north_reg_weight = 0.1\n")
          .adapter.adalora;
  EXPECT_EQ(options, (AdaLoraOptions{6, 3, 2, 4, 5, 0.7, 0.6, 0.1}));
  EXPECT_EQ(error_of("[adapter.vera]\nprojection_key = 7\n"),
            "x.toml:2: adapter.vera.projection_key is an option of vera, and adapter.method is lora; leave it out");
  EXPECT_EQ(error_of("[adapter]\nmethod = 'vera'\n[adapter.adalora]\ntinit = 7\n"),
            "x.toml:4: adapter.adalora.tinit is an option of adalora, and adapter.method is vera; leave it out");
  EXPECT_EQ(error_of("[adapter]\nmethod = 'adalora'\nrank_pattern = {q_proj = 2}\n"),
            "x.toml:3: adapter.rank_pattern is an option of lora and dora, and adapter.method is adalora; leave it out");
  EXPECT_EQ(error_of("[adapter.adalora]\nbeta1 = 1.0\n"), "x.toml:2: adapter.adalora.beta1 must be below 1 (got 1)");
}

TEST_F(LoadConfig, UnknownKeysNameTheNearest) {
  EXPECT_EQ(error_of("[adapter]\nrank = 8\n"), "x.toml:2: unknown key adapter.rank; the nearest known key is adapter.r");
  EXPECT_EQ(error_of("[train]\nlearing_rate = 8\n"),
            "x.toml:2: unknown key train.learing_rate; the nearest known key is train.learning_rate");
  EXPECT_EQ(error_of("[train]\nmax_length = 8\n"),
            "x.toml:2: unknown key train.max_length; the nearest known key is data.max_length");
  EXPECT_EQ(error_of("r = 8\n"), "x.toml:1: unknown key r; the nearest known key is adapter.r");
  EXPECT_EQ(error_of_set("adaptor.r=8"), "--set adaptor.r=8: unknown key adaptor.r; the nearest known key is adapter.r");
  EXPECT_EQ(error_of_set("nonsense"), "--set nonsense: must be written --set section.key=value");
  EXPECT_EQ(error_of_set("=3"), "--set =3: must be written --set section.key=value");
  EXPECT_EQ(error_of("\n[modle]\npath = \"x\"\n"), "x.toml:3: unknown section [modle]; the nearest known section is [model]");
  EXPECT_EQ(error_of("\n[modle]\n"), "x.toml:2: unknown section [modle]; the nearest known section is [model]");
  EXPECT_EQ(error_of("model = \"x\"\n"), "x.toml:1: model is a section: write [model] and its keys below");
  EXPECT_EQ(error_of("[[model]]\npath = \"x\"\n"), "x.toml:1: model is a section: write [model] and its keys below");
  EXPECT_EQ(error_of("[model]\n"), "no error");  // an empty section is valid
}

TEST_F(LoadConfig, TheTopmostErrorIsReported) {
  EXPECT_EQ(error_of("[train]\nepochs = 0\n[adapter]\nr = 0\n"), "x.toml:2: train.epochs must be above 0 (got 0)");
}

TEST_F(LoadConfig, WordsOfClosedListsAndPaths) {
  EXPECT_EQ(error_of_set("checkpoint.resume="), "--set checkpoint.resume=: checkpoint.resume must not be empty");
  EXPECT_EQ(error_of("[checkpoint]\nresume = 3\n"), "x.toml:2: checkpoint.resume must be a string in quotes (got 3)");
  EXPECT_EQ(error_of_set("data.format=parquet"),
            "--set data.format=parquet: data.format must be one of auto, alpaca, chat, qa, text, ids, marked_text, qa_text (got "
            "\"parquet\"; the nearest is auto)");
  EXPECT_EQ(error_of_set("data.template=llama9"),
            "--set data.template=llama9: data.template must be one of auto, alpaca, qa, raw, chatml, plain, tokenizer (got "
            "\"llama9\"; the nearest is alpaca)");
  EXPECT_EQ(
      error_of_set("adapter.method=lorra"),
      "--set adapter.method=lorra: adapter.method must be one of lora, dora, ia3, ln_tuning, vera, adalora, bottleneck, prompt, "
      "prefix, p_tuning, full (got \"lorra\"; the nearest is lora)");
  EXPECT_EQ(error_of_set("train.optimizer=adam"),
            "--set train.optimizer=adam: train.optimizer must be one of adamw (got \"adam\"; the nearest is adamw)");
}

TEST_F(LoadConfig, WhatIsNotBuiltIsRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"train.optimizer=lion", "train.optimizer = lion is not built yet; what works is adamw"},
      {"train.deterministic=false", "train.deterministic = false is not built yet; what works is true"},
      {"eval.metrics=[\"loss\", \"rouge\"]", "eval.metrics = rouge is not built yet; what works is loss, perplexity"},
      {"eval.best_metric=bleu", "eval.best_metric = bleu is not built yet; what works is loss, perplexity"},
  };
  for (const auto& [setting, message] : cases) {
    EXPECT_EQ(error_of_set(setting), "--set " + setting + ": " + message);
  }
}

TEST_F(LoadConfig, ContradictionsPointAtWhatWasWritten) {
  EXPECT_EQ(error_of("[eval]\nmetrics = [\"perplexity\"]\n"),
            "x.toml:2: eval.best_metric must be one of eval.metrics (got \"loss\")");
  EXPECT_EQ(error_of("[eval]\nmetrics = [\"loss\"]\n", {"eval.best_metric=perplexity"}),
            "--set eval.best_metric=perplexity: eval.best_metric must be one of eval.metrics (got \"perplexity\")");
  EXPECT_EQ(
      error_of("[data]\nvalidation_split = 0\n[train]\nearly_stopping_patience = 2\n"),
      "x.toml:4: train.early_stopping_patience needs validation data: give data.validation or a data.validation_split above 0");
}

TEST_F(LoadConfig, RequiredKeys) {
  const auto error_of_check = [](const Config& config) {
    try {
      check_required_keys(config);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error_of_check(load("")), HasSubstr("model.path is not set"));
  EXPECT_THAT(error_of_check(load("[model]\npath = \"m\"\n")), HasSubstr("data.train is not set"));
  EXPECT_EQ(error_of_check(load("[model]\npath = \"m\"\n[data]\ntrain = \"t\"\n")), "no error");
}

TEST_F(LoadConfig, FilesThatAreNoToml) {
  EXPECT_THAT(error_of("[adapter]\nr = \n"), HasSubstr("x.toml:2: not valid TOML: "));
  EXPECT_THAT(error_of("[adapter]\nr = 1\nr = 2\n"), HasSubstr("x.toml:3: not valid TOML: "));
  EXPECT_THAT(error_of(std::string("[adapter]\nr = 1\n\xFF\xFE\0", 20)), HasSubstr("not valid TOML: "));
  EXPECT_THAT(error_of("{\"adapter\": {\"r\": 1}}\n"), HasSubstr("x.toml:1: not valid TOML: "));
  EXPECT_EQ(error_of(std::string((1 << 20) + 1, '#')), "x.toml: is longer than 1 MiB; is this a configuration?");
  EXPECT_EQ(error_of(""), "no error");
}

TEST_F(LoadConfig, NestingThatWouldOverflowTheStackIsRefused) {
  std::string deep = "[a";
  for (int i = 0; i < 200000; ++i) {
    deep += ".a";
  }
  EXPECT_EQ(error_of(deep + "]\n"), "x.toml:1: a key has more than 16 dots; keys are written section.key");
  EXPECT_THAT(error_of("x = " + std::string(100000, '[') + "\n"), HasSubstr("not valid TOML: "));
  EXPECT_EQ(error_of("[model]\npath = \"" + std::string(500, '.') + "\" # " + std::string(100, '.') + "\n"), "no error");
  EXPECT_THAT(error_of_set("adapter.r={" + deep.substr(1) + " = 1}"), HasSubstr("adapter.r must be a whole number"));
}

TEST_F(LoadConfig, FilesThatCannotBeRead) {
  const auto error_of_path = [](const std::filesystem::path& path) {
    try {
      load_config(path, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(error_of_path(folder_.path()), folder_.path().string() + ": is a folder; a configuration is a TOML file");
  EXPECT_EQ(error_of_path("missing/y.toml"), "missing/y.toml: cannot be read: No such file or directory");
}

TEST_F(LoadConfig, ASettingCannotSmuggleInASecondKey) {
  EXPECT_THAT(error_of_set("adapter.r=1\nx = 2"), HasSubstr("adapter.r must be a whole number"));
}

TEST(ConfigKeys, TheTableIsSound) {
  std::set<std::string_view> names;
  Config config;
  for (const Key& key : config_keys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_FALSE(key.meaning.empty()) << key.name;
    const std::string before = key.text(config);
    const toml::table parsed = parse_toml_value(before);
    const bool required = before == "\"\"" || before == "[]";
    const std::string problem = key.read(config, *parsed.get("value"));
    EXPECT_TRUE(problem.empty() || required) << key.name << " " << problem;
    EXPECT_EQ(key.text(config), before) << key.name;
  }
  EXPECT_EQ(names.size(), 104U);
}

TEST_F(LoadConfig, ATildeIsTheHomeFolder) {
  const std::string before = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
  ::setenv("HOME", "/home/ada", 1);
  const Config config =
      load("[model]\npath = '~/m'\n[data]\ntrain = ['~/a*.jsonl', 'b~']\nvalidation = '~/v'\ncache_dir = '~/c'\n",
           {"output.dir=~/runs/x", "adapter.init_from=~/a", "checkpoint.resume=~/r"});
  ::setenv("HOME", before.c_str(), 1);
  EXPECT_EQ(config.model.path, "/home/ada/m");
  EXPECT_EQ(config.data.train, (std::vector<std::string>{"/home/ada/a*.jsonl", "b~"}));
  EXPECT_EQ(config.data.validation, (std::vector<std::string>{"/home/ada/v"}));
  EXPECT_EQ(config.data.cache_dir.kind, TokenCache::path);
  EXPECT_EQ(config.data.cache_dir.path, "/home/ada/c");
  EXPECT_EQ(config.output.dir, "/home/ada/runs/x");
  EXPECT_EQ(config.adapter.init_from, "/home/ada/a");
  EXPECT_EQ(config.checkpoint.resume.kind, Resume::path);
  EXPECT_EQ(config.checkpoint.resume.path, "/home/ada/r");
}

class FindConfigFile : public testing::Test {
 protected:
  Scratch folder_;
};

TEST_F(FindConfigFile, AsGivenThenInstalledThenInTheBuildTree) {
  const auto program = folder_.path() / "bin/lora_dist";
  const auto built = folder_.write("configs/preset.toml", "");
  EXPECT_EQ(find_config_file(built.string(), program), built);
  EXPECT_EQ(find_config_file("preset.toml", program), built);
  const auto installed = folder_.write("share/lora_dist/configs/preset.toml", "");
  EXPECT_EQ(find_config_file("preset.toml", program), installed);
  try {
    find_config_file("presett.toml", program);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_THAT(error.what(), HasSubstr("--cfg presett.toml: there is no such file, neither here nor in "));
    EXPECT_THAT(error.what(), HasSubstr("; the nearest there is preset.toml"));
  }
  EXPECT_THROW(find_config_file("/nowhere/preset.toml", program), Error);
  EXPECT_THROW(find_config_file("", program), Error);
}

}  // namespace
}  // namespace lora_dist::load_config_test
