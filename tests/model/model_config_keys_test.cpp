// Compares the table of config.json's keys with transformers' configuration classes, and tests unknown keys.
#include "src/model/model_config_keys.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "src/model/family.h"
#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"

namespace lora_dist::model_config_keys_test {
namespace {

using nlohmann::json;

const std::vector<std::string> kFamilies = {"cohere2", "exaone",     "exaone4",  "gemma",    "gemma2",      "gemma3_text",
                                            "glm4",    "gpt2",       "gpt_neox", "granite",  "hyperclovax", "internlm3",
                                            "llama",   "ministral3", "mistral",  "nemotron", "olmo2",       "olmo3",
                                            "phi3",    "qwen2",      "qwen3",    "smollm3",  "stablelm",    "starcoder2"};

json demo_config() { return test::read_json(test::source("demo/model/config.json")); }

/// transformers' classes have these keys; each must mean something here, for that family.
TEST(ModelConfigKeys, KnowsEveryKeyOfTheConfigurationClasses) {
  const json golden = test::read_json(test::source("tests/golden/model_config_keys.json"));
  std::vector<std::pair<std::string, std::string>> missing;
  for (const std::string& family : kFamilies) {
    for (const char* of : {"every_class", "generation", family.c_str()}) {
      for (const std::string key : golden.value(of, json::array())) {  // exaone's class is not part of transformers
        if (find_model_config_key(key, family) == nullptr) {
          missing.emplace_back(family, key);
        }
      }
    }
  }
  EXPECT_TRUE(missing.empty()) << testing::PrintToString(missing);
}

/// Keys by their use, families and what is supported instead, as rows of a table: "| use | families | keys".
std::map<std::string, std::set<std::string>> rows_of_the_table() {
  std::map<std::string, std::set<std::string>> rows;
  for (const ModelConfigKey& key : model_config_keys()) {
    std::string families(key.families.substr(0, key.families.empty() ? 0 : key.families.size() - 1));
    for (std::size_t at = 0; (at = families.find(' ', at)) != std::string::npos; at += 2) {
      families.replace(at, 1, ", ");
    }
    const std::string use = key.use == KeyUse::used         ? "used"
                            : key.use == KeyUse::irrelevant ? "irrelevant"
                                                            : "refused unless null, false, or an empty list or object: only " +
                                                                  std::string(key.what) + " supported";
    rows["| " + use + " | " + (families.empty() ? "all" : families)].insert(std::string(key.name));
  }
  return rows;
}

/// The manual shows the table, row by row.
TEST(ModelConfigKeys, StandInTheManual) {
  std::map<std::string, std::set<std::string>> manual;
  std::istringstream lines(get_file(test::source("docs/families.md")));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t keys = line.find(" | `");
    const bool of_keys = line.starts_with("| used |") || line.starts_with("| irrelevant |") || line.starts_with("| refused ");
    for (std::size_t at = keys; of_keys && at != std::string::npos && (at = line.find('`', at)) != std::string::npos;) {
      const std::size_t end = line.find('`', at + 1);
      manual[line.substr(0, keys)].insert(line.substr(at + 1, end - at - 1));
      at = end + 1;
    }
  }
  EXPECT_EQ(manual, rows_of_the_table());
}

/// A key has one meaning for a family, or the first of two rows would hide the second.
TEST(ModelConfigKeys, HasOneRowForAKeyAndFamily) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const ModelConfigKey& key : model_config_keys()) {
    for (const std::string& family : kFamilies) {
      if (find_model_config_key(key.name, family) == &key) {
        EXPECT_TRUE(seen.emplace(key.name, family).second) << key.name << " of " << family;
      }
    }
    EXPECT_EQ(key.use == KeyUse::refused, !key.what.empty()) << key.name;
    EXPECT_TRUE(key.families.empty() || key.families.ends_with(' ')) << key.name;
  }
}

class ModelConfigKeysOfAFile : public testing::Test {
 protected:
  ModelSpec read(const json& config) {
    folder_.write("config.json", config.dump());
    return read_model_config(folder_.path());
  }
  Scratch folder_;
};

TEST_F(ModelConfigKeysOfAFile, UnknownKeysAreNamedOnce) {
  json config = demo_config();
  EXPECT_TRUE(read(config).warnings.empty());
  config["attn_logit_softcapping"] = 50.0;
  std::vector<std::string> warnings = read(config).warnings;
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("config.json: attn_logit_softcapping has no meaning for llama models here, and is not used"),
            std::string::npos)
      << warnings[0];
  config["use_mup"] = true;
  config["nothing"] = nullptr;
  warnings = read(config).warnings;
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("attn_logit_softcapping, use_mup have no meaning for llama models here"), std::string::npos);
}

TEST_F(ModelConfigKeysOfAFile, KeysOfOtherFamiliesCountOnlyWhereTheySaySomething) {
  json config = demo_config();
  config["use_sliding_window"] = false;
  config["sliding_window"] = nullptr;
  EXPECT_TRUE(read(config).warnings.empty());
  config["sliding_window"] = 8;
  const std::vector<std::string> warnings = read(config).warnings;
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("config.json: sliding_window has no meaning for llama models"), std::string::npos);
}

TEST_F(ModelConfigKeysOfAFile, RefusedKeys) {
  const auto message_with = [&](const char* key, const json& value) {
    json config = demo_config();
    config[key] = value;
    return thrown_by([&] { read(config); });
  };
  for (const auto& [key, value, supported] :
       {std::tuple<const char*, json, const char*>{
            "per_layer_config", {{"1", {{"head_dim", 4}}}}, "layers that are all alike are"},
        {"pruned_heads", {{"0", {1}}}, "layers with all their heads are"},
        {"is_encoder_decoder", true, "language models without an encoder are"},
        {"add_cross_attention", true, "language models without an encoder are"},
        {"use_bidirectional_attention", "all", "causal attention is"},
        {"rope_interleaved", true, "the family's own pairs of rotated dimensions are"},
        {"use_mrope", true, "one position for each token is"},
        {"quantization", {{"bits", 4}}, "weights that MLX has not quantized are"}}) {
    const Thrown error = message_with(key, value);
    EXPECT_EQ(error.code, ExitCode::model);
    EXPECT_NE(error.message.find(std::string("config.json: ") + key + " is "), std::string::npos) << error.message;
    EXPECT_NE(error.message.find(std::string("and only ") + supported + " supported"), std::string::npos) << error.message;
    json config = demo_config();
    config[key] = value.is_object() ? json::object() : json(false);
    EXPECT_TRUE(read(config).warnings.empty()) << key;
  }
}

/// Keys that are absent take the class's defaults, which are not Llama's in every class.
TEST_F(ModelConfigKeysOfAFile, AbsentKeysTakeTheDefaultsOfTheClass) {
  const json golden = test::read_json(test::source("tests/golden/model_config_keys.json"))["defaults"];
  for (const std::string& family : kFamilies) {
    if (!golden.contains(family)) {
      continue;
    }
    const json& defaults = golden[family];
    SCOPED_TRACE(family);
    json config = {{"model_type", family},      {"hidden_size", 256},     {"num_hidden_layers", 2},
                   {"num_attention_heads", 32}, {"intermediate_size", 8}, {"vocab_size", 32}};
    const ModelSpec spec = read(config);
    EXPECT_EQ(spec.tied_head, defaults["tie_word_embeddings"]);
    EXPECT_EQ(spec.max_positions, defaults[family == "gpt2" ? "n_positions" : "max_position_embeddings"]);
    const std::vector<std::string> names = {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon"};
    const auto eps = std::ranges::find_if(names, [&](const std::string& name) { return defaults.contains(name); });
    ASSERT_NE(eps, names.end());
    EXPECT_EQ(spec.norm_eps, defaults[*eps].get<float>());
    EXPECT_EQ(spec.kv_heads, defaults.contains("num_key_value_heads") && defaults["num_key_value_heads"].is_number()
                                 ? defaults["num_key_value_heads"].get<std::int64_t>()
                                 : 32);
    EXPECT_EQ(spec.head_dim,
              defaults.contains("head_dim") && defaults["head_dim"].is_number() ? defaults["head_dim"].get<std::int64_t>() : 8);
    if (defaults.contains("num_key_value_heads")) {
      config["num_key_value_heads"] = nullptr;
      EXPECT_EQ(read(config).kv_heads, 32);
    }
  }
}

TEST_F(ModelConfigKeysOfAFile, Gpt2TakesTheGeneralNamesOfSizes) {
  const json config = {{"model_type", "gpt2"},      {"n_embd", 8},      {"hidden_size", 64},   {"num_hidden_layers", 3},
                       {"num_attention_heads", 32}, {"vocab_size", 32}, {"n_positions", 1024}, {"max_position_embeddings", 16}};
  const ModelSpec spec = read(config);
  EXPECT_EQ(spec.hidden, 64);
  EXPECT_EQ(spec.layers, 3);
  EXPECT_EQ(spec.heads, 32);
  EXPECT_EQ(spec.max_positions, 16);
}

}  // namespace
}  // namespace lora_dist::model_config_keys_test
