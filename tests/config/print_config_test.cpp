// Printing configurations, comparing them for a resume, and the shipped presets.
#include "src/config/print_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "src/config/config_keys.h"
#include "src/config/load_config.h"
#include "src/config/nearest_name.h"
#include "src/config/resume_rules.h"
#include "src/core/error.h"
#include "tests/support/scratch.h"

namespace lora_dist::print_config_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PrintConfig : public testing::Test {
 protected:
  Scratch folder_;
};

TEST_F(PrintConfig, ReadsBackToTheSameValues) {
  const auto file = folder_.write("x.toml", R"(
[model]
path = "models/\"odd\" \\ ünï"
[adapter]
alpha = 0.1
target_modules = "all-linear"
[data]
train = ["a.jsonl", "b # c.jsonl"]
[train]
learning_rate = 0.00012345678901234567
eps = 1e-30
weight_decay = 5e-324
seed = 9223372036854775807
[parallel]
base_shards = 1
)");
  const Config config = load_config(file, {"adapter.r=3", "train.epochs=1e5"});
  const std::string text = print_config(config);
  const Config again = load_config(folder_.write("again.toml", text), {});
  EXPECT_EQ(to_flat_settings(again), to_flat_settings(config));
  EXPECT_EQ(again.train.learning_rate, config.train.learning_rate);
  EXPECT_EQ(again.train.weight_decay, 5e-324);
  EXPECT_EQ(again.model.path, "models/\"odd\" \\ ünï");

  EXPECT_THAT(text, HasSubstr("[adapter]\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\nr = 3 +# --set\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\nalpha = 0.1 +# .*/x.toml:5\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\ndropout = 0.05 +# default\n"));
}

TEST_F(PrintConfig, AWordOrAPathIsPrintedAsItWasWritten) {
  const auto printed = [](const std::string& key, const std::string& value) {
    return to_flat_settings(load_config("", {key + "=" + value})).at(key);
  };
  for (const char* word : {"auto", "never", "runs/x/checkpoints/step_00000100", "Never"}) {
    EXPECT_EQ(printed("checkpoint.resume", word), "\"" + std::string(word) + "\"");
  }
  for (const char* word : {"", "none", "/scratch/tokens"}) {
    EXPECT_EQ(printed("data.cache_dir", word), "\"" + std::string(word) + "\"");
  }
}

TEST_F(PrintConfig, TheBasesShardsArePrintedAsTheyWereWritten) {
  EXPECT_EQ(to_flat_settings(Config{}).at("parallel.base_shards"), "\"auto\"");
  for (const char* word : {"auto", "all", "node", "4"}) {
    const Config config = load_config("", {std::string("parallel.base_shards=") + word});
    EXPECT_EQ(to_flat_settings(config).at("parallel.base_shards"), "\"" + std::string(word) + "\"");
  }
}

TEST_F(PrintConfig, WithoutTheRequiredKeysToo) {
  const std::string text = print_config(load_config("", {}));
  EXPECT_THAT(text, testing::ContainsRegex("# path = \"\" +# not set\n"));
  EXPECT_EQ(to_flat_settings(load_config(folder_.write("unnamed.toml", text), {})), to_flat_settings(load_config("", {})));
}

TEST_F(PrintConfig, HelpNamesEveryKey) {
  const std::string text = describe_keys();
  for (const auto& [key, value] : to_flat_settings(Config{})) {
    EXPECT_THAT(text, HasSubstr("  " + key.substr(key.find('.') + 1) + " = ")) << key;
  }
}

std::vector<std::string> names(const std::vector<SettingChange>& changes) {
  std::vector<std::string> result;
  for (const SettingChange& change : changes) {
    result.push_back(change.key);
  }
  return result;
}

TEST(ResumeRules, WhatMayChangeAndWhatMayNot) {
  Config before;
  Config after;
  after.train.max_steps = 10;
  after.train.epochs = 4;
  after.eval.every = 5;
  after.checkpoint.keep = 1;
  after.output.log_every = 7;
  after.parallel.base_shards = {BaseShards::Of::count, 1};
  after.train.micro_batch = 2;
  EXPECT_THAT(names(changes_in_last_bits(to_flat_settings(before), to_flat_settings(after))), ElementsAre("train.micro_batch"));
}

TEST(ResumeRules, WhatWasTrainedMayNotChange) {
  for (const char* name : {"adapter.r", "data.shuffle", "data.train", "model.path", "model.quantization", "train.global_batch",
                           "train.learning_rate", "train.seed"}) {
    const Key* key = find_key(name);
    ASSERT_NE(key, nullptr) << name;
    EXPECT_EQ(key->on_resume, OnResume::refuse) << name;
  }
}

TEST(ResumeRules, SettingsOfOtherVersions) {
  auto older = to_flat_settings(Config{});
  older.erase("data.packing");
  older.erase("train.micro_batch");  // counts as its default
  EXPECT_THAT(changes_in_last_bits(older, to_flat_settings(Config{})), testing::IsEmpty());
  Config changed;
  changed.train.micro_batch = 2;
  EXPECT_THAT(names(changes_in_last_bits(older, to_flat_settings(changed))), ElementsAre("train.micro_batch"));
  auto newer = to_flat_settings(Config{});
  newer["adapter.flavour"] = "\"sweet\"";
  EXPECT_THAT(changes_in_last_bits(newer, to_flat_settings(Config{})), testing::IsEmpty());  // loading refuses this change
}

TEST(NearestName, IsOnlySuggestedWhenItIsClose) {
  EXPECT_EQ(similar_name("confg", {"cfg", "set"}), "cfg");
  EXPECT_EQ(similar_name("top_p", {"top-p", "model"}), "top-p");
  EXPECT_EQ(similar_name("top_p", {"input", "model"}), "");
  EXPECT_EQ(similar_name("xyz", {"cfg"}), "");
}

TEST(NearestName, CountsSlipsOfTheKeyboard) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("train", "train"), 0U);
  EXPECT_EQ(edit_distance("trian", "train"), 1U);
  EXPECT_EQ(edit_distance("tran", "train"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(nearest_name("evla", {"train", "eval", "score"}), "eval");
}

std::string first_line(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

struct Preset {
  std::string name;
  int r;
  double alpha;
  double dropout;
  std::vector<std::string> targets;
  double learning_rate;
  double epochs;
};

TEST(Presets, HaveTheNumbersOfTheManual) {
  const std::vector<std::string> qv = {"q_proj", "v_proj"};
  const std::vector<std::string> qkvo = {"q_proj", "k_proj", "v_proj", "o_proj"};
  const std::vector<Preset> presets = {{"medical", 16, 32, 0.1, qkvo, 1e-4, 5},
                                       {"customer_service", 8, 16, 0.05, qv, 2e-4, 3},
                                       {"legal", 32, 64, 0.1, qkvo, 5e-5, 10}};
  for (const Preset& preset : presets) {
    const std::filesystem::path file = std::filesystem::path(LORA_DIST_SOURCE_DIR) / "configs" / (preset.name + ".toml");
    EXPECT_EQ(first_line(file), "# mpirun -np 8 lora_dist --cfg " + preset.name + ".toml");
    const Config config = load_config(file, {});
    EXPECT_NO_THROW(check_required_keys(config));
    EXPECT_EQ(config.adapter.r, preset.r) << preset.name;
    EXPECT_EQ(config.adapter.alpha, preset.alpha) << preset.name;
    EXPECT_EQ(config.adapter.dropout, preset.dropout) << preset.name;
    EXPECT_EQ(config.adapter.target_modules, preset.targets) << preset.name;
    EXPECT_EQ(config.train.learning_rate, preset.learning_rate) << preset.name;
    EXPECT_EQ(config.train.epochs, preset.epochs) << preset.name;
    EXPECT_EQ(config.output.dir, "runs/" + preset.name);
  }
}

TEST(Presets, AllAreValidAndSayHowTheyAreStarted) {
  int presets = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(LORA_DIST_SOURCE_DIR) / "configs")) {
    if (entry.path().extension() == ".toml") {
      EXPECT_NO_THROW(check_required_keys(load_config(entry.path(), {}))) << entry.path();
      EXPECT_THAT(first_line(entry.path()), testing::MatchesRegex("# mpirun -np [0-9]+ .*lora_dist --cfg .*\\.toml"))
          << entry.path();
      ++presets;
    }
  }
  EXPECT_GE(presets, 4);
  EXPECT_EQ(first_line(std::filesystem::path(LORA_DIST_SOURCE_DIR) / "configs/demo.toml"),
            "# mpirun -np 2 build/lora_dist --cfg configs/demo.toml");
}

}  // namespace
}  // namespace lora_dist::print_config_test
