// adapter_config.json: PEFT's files are read, unsupported values are refused.
#include "src/adapter/adapter_config.h"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/scratch.h"

namespace lora_dist::adapter_config_test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(LORA_DIST_SOURCE_DIR) / "tests/golden/peft_configs" / name;
}

PeftConfig read_text(const std::string& text) {
  const Scratch scratch;
  put_file(scratch / "adapter_config.json", text);
  return read_adapter_config(scratch / "adapter_config.json");
}

std::string problem_of(const std::string& text) {
  const Thrown error = thrown_by([&] { read_text(text); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr("adapter_config.json"));
  return error.message;
}

TEST(AdapterConfigFile, ReadsWhatPeftWrote) {
  const PeftConfig plain = read_adapter_config(golden("plain.json"));
  EXPECT_EQ(plain.r, 8);
  EXPECT_EQ(plain.alpha, 16);
  EXPECT_EQ(plain.dropout, 0.05);
  EXPECT_THAT(plain.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(plain.base_model_name_or_path, "models/llama");
  EXPECT_EQ(plain.task_type, "CAUSAL_LM");
  EXPECT_FALSE(plain.fan_in_fan_out);
  EXPECT_FALSE(plain.use_rslora);
  const PeftConfig transposed = read_adapter_config(golden("transposed.json"));
  EXPECT_THAT(transposed.target_modules, ElementsAre("c_attn", "c_proj"));
  EXPECT_TRUE(transposed.fan_in_fan_out);
  EXPECT_EQ(transposed.r, 16);
  EXPECT_EQ(transposed.alpha, 32);
  EXPECT_EQ(transposed.dropout, 0);
  const PeftConfig patterns = read_adapter_config(golden("patterns.json"));
  EXPECT_EQ(patterns.target_pattern, R"(.*\.(q|o)_proj)");
  EXPECT_TRUE(patterns.use_rslora);
  EXPECT_EQ(rank_of(patterns, "model.layers.0.self_attn.q_proj"), 4);
  EXPECT_EQ(rank_of(patterns, "model.layers.1.self_attn.q_proj"), 2);
  EXPECT_THAT(patterns.alpha_pattern, ElementsAre(testing::Pair("o_proj", 12)));
}

// Every key that PEFT has always written for LoRA, and the values of a plain one; byte for byte apart from keys added later.
TEST(AdapterConfigFile, WritesWhatPeftWrites) {
  for (const char* name : {"plain.json", "transposed.json", "patterns.json"}) {
    const std::string text = adapter_config_text(read_adapter_config(golden(name)));
    const json written = json::parse(text);
    const json reference = json::parse(get_file(golden(name)));
    for (const char* key :
         {"alpha_pattern", "base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode", "init_lora_weights",
          "layers_pattern", "layers_to_transform", "lora_alpha", "lora_dropout", "modules_to_save", "peft_type", "r",
          "rank_pattern", "revision", "target_modules", "task_type", "use_dora", "use_rslora"}) {
      EXPECT_TRUE(written.contains(key)) << key;
    }
    json subset = json::object();
    for (const auto& [key, value] : written.items()) {
      subset[key] = reference.at(key);
    }
    EXPECT_EQ(text, subset.dump(2)) << name;
  }
}

TEST(AdapterConfigFile, RoundTripOfEverything) {
  PeftConfig config;
  config.r = 4;
  config.alpha = 2.5;
  config.dropout = 0;
  config.use_rslora = true;
  config.target_modules = {"v_proj", "q_proj"};
  config.rank_pattern = {{"layers.0.self_attn.q_proj", 2}};
  config.alpha_pattern = {{"v_proj", 7}};
  config.base_model_name_or_path = "models/ü \"x\"";
  config.fan_in_fan_out = true;
  const PeftConfig back = read_text(adapter_config_text(config));
  EXPECT_EQ(back.r, 4);
  EXPECT_EQ(back.alpha, 2.5);
  EXPECT_EQ(back.dropout, 0);
  EXPECT_TRUE(back.use_rslora);
  EXPECT_THAT(back.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(back.rank_pattern, config.rank_pattern);
  EXPECT_EQ(back.alpha_pattern, config.alpha_pattern);
  EXPECT_EQ(back.base_model_name_or_path, config.base_model_name_or_path);
  EXPECT_TRUE(back.fan_in_fan_out);
  config.target_modules.clear();
  config.target_pattern = "all-linear";
  EXPECT_EQ(read_text(adapter_config_text(config)).target_pattern, "all-linear");
}

TEST(AdapterConfigFile, OlderAndNewerFiles) {
  const PeftConfig old =
      read_text(R"({"peft_type":"LORA","r":4,"target_modules":["q"],"enable_lora":null,"some_new_key":{"x":1},"bias":"none"})");
  EXPECT_EQ(old.r, 4);
  EXPECT_EQ(old.alpha, 8);  // PEFT's own default
  EXPECT_EQ(old.dropout, 0);
  EXPECT_EQ(read_text(R"({"peft_type":"LORA","target_modules":".*\\.q_proj"})").target_pattern, ".*\\.q_proj");
  EXPECT_EQ(
      read_text(R"({"peft_type":"LORA","use_dora":false,"modules_to_save":[],"lora_bias":null,"init_lora_weights":"gaussian"})")
          .r,
      8);
}

TEST(AdapterConfigFile, RefusesWhatCannotBeRepresented) {
  EXPECT_THAT(problem_of("{}"), HasSubstr("peft_type is \"\", and only LORA, IA3, LN_TUNING, VERA"));
  EXPECT_THAT(problem_of(R"({"peft_type":"OFT"})"), HasSubstr("peft_type is \"OFT\""));
  EXPECT_THAT(problem_of(R"({"peft_type":"IA3","feedforward_modules":".*down_proj"})"),
              HasSubstr("feedforward_modules must be a list of names; a regular expression is not read"));
  const auto with = [](const std::string& more) { return problem_of(R"({"peft_type":"LORA",)" + more + "}"); };
  EXPECT_THAT(with(R"("use_qalora":true)"), HasSubstr("use_qalora is true, which this program does not do"));
  EXPECT_THAT(with(R"("lora_bias":true)"), HasSubstr("lora_bias is true"));
  EXPECT_THAT(problem_of(R"({"peft_type":"IA3","modules_to_save":["lm_head"]})"),
              HasSubstr("modules_to_save is [\"lm_head\"], which this program does not do with ia3"));
  EXPECT_THAT(with(R"("trainable_token_indices":["a"])"),
              HasSubstr("trainable_token_indices must be a list of token ids, or such lists by module (got [\"a\"])"));
  EXPECT_THAT(with(R"("layer_replication":[[0,2]])"), HasSubstr("layer_replication"));
  EXPECT_THAT(with(R"("bias":"all")"), HasSubstr("bias is \"all\""));
  for (const char* init : {"pissa_niter_4", "corda", "loftq", "lora_ga"}) {
    EXPECT_THAT(with(fmt::format(R"("init_lora_weights":"{}")", init)),
                HasSubstr(fmt::format("init_lora_weights is \"{}\", which changes the base", init)));
  }
  EXPECT_THAT(with(R"("init_lora_weights":"olora","use_dora":true)"), HasSubstr("init_lora_weights is \"olora\", which changes"));
}

TEST(AdapterConfigFile, RefusesWhatIsMalformed) {
  EXPECT_THAT(problem_of("[]"), HasSubstr("it is not an object"));
  EXPECT_THAT(problem_of("{"), HasSubstr("is not valid JSON"));
  const auto with = [](const std::string& more) { return problem_of(R"({"peft_type":"LORA",)" + more + "}"); };
  EXPECT_THAT(with(R"("r":0)"), HasSubstr("r must be a whole number from 1 to 1048576 (got 0)"));
  EXPECT_THAT(with(R"("r":-1)"), HasSubstr("(got -1)"));
  EXPECT_THAT(with(R"("r":8.5)"), HasSubstr("(got 8.5)"));
  EXPECT_THAT(with(R"("r":18446744073709551615)"), HasSubstr("r must be"));
  EXPECT_THAT(with(R"("lora_alpha":"16")"), HasSubstr("lora_alpha must be a number (got \"16\")"));
  EXPECT_THAT(with(R"("lora_dropout":1)"), HasSubstr("lora_dropout must be at least 0 and below 1 (got 1)"));
  EXPECT_THAT(with(R"("lora_dropout":-0.1)"), HasSubstr("lora_dropout must be"));
  EXPECT_THAT(with(R"("use_rslora":1)"), HasSubstr("use_rslora must be true or false"));
  EXPECT_THAT(with(R"("task_type":3)"), HasSubstr("task_type must be text"));
  EXPECT_THAT(with(R"("target_modules":[1])"), HasSubstr("target_modules must be a list of names, or one text"));
  EXPECT_THAT(with(R"("target_modules":3)"), HasSubstr("target_modules must be"));
  EXPECT_THAT(with(R"("rank_pattern":[])"), HasSubstr("rank_pattern must be an object"));
  EXPECT_THAT(with(R"("rank_pattern":{"q":0})"), HasSubstr("rank_pattern.q must be a whole number"));
  EXPECT_THAT(with(R"("alpha_pattern":{"q":null})"), HasSubstr("alpha_pattern.q must be a number"));
  EXPECT_THAT(
      with(R"("alpha_pattern":{"layers\\.(0|1\\.q":4})"),
      HasSubstr("alpha_pattern has the key \"layers\\.(0|1\\.q\", which is not a regular expression that is understood here"));
  EXPECT_THAT(with(R"("rank_pattern":{")" + std::string(1001, 'q') + R"(":4})"), HasSubstr("is longer than 1000 characters"));
  EXPECT_THAT(with(R"("layers_to_transform":"all")"),
              HasSubstr("layers_to_transform must be a layer's number or a list of them"));
  EXPECT_THAT(with(R"("layers_to_transform":[0,-1])"), HasSubstr("(got -1)"));
  EXPECT_THAT(with(R"("layers_pattern":3)"), HasSubstr("layers_pattern must be a name or a list of names"));
  EXPECT_THAT(with(R"("r":1,"r":2)"), HasSubstr("the key \"r\" is given twice"));
}

TEST(AdapterConfigFile, PatternsAndScale) {
  PeftConfig config;
  config.r = 16;
  config.alpha = 32;
  config.rank_pattern = {
      {"layers.0.self_attn.q_proj", 4}, {"^model.layers.1.self_attn.q_proj", 2}, {"layers\\.2\\.self_attn\\.q_proj", 1}};
  config.alpha_pattern = {{"k_proj", 8}};
  EXPECT_EQ(rank_of(config, "model.layers.0.self_attn.q_proj"), 4);
  EXPECT_EQ(rank_of(config, "model.layers.10.self_attn.q_proj"), 16);
  EXPECT_EQ(rank_of(config, "model.layers.1.self_attn.q_proj"), 2);
  EXPECT_EQ(rank_of(config, "x.model.layers.1.self_attn.q_proj"), 16);
  EXPECT_EQ(rank_of(config, "model.layers.2.self_attn.q_proj"), 1);
  EXPECT_EQ(alpha_of(config, "model.layers.0.self_attn.k_proj"), 8);
  EXPECT_EQ(alpha_of(config, "model.layers.0.self_attn.xk_proj"), 32);  // not from a dot on
  EXPECT_EQ(alpha_of(config, "k_proj"), 8);
  EXPECT_EQ(scale_of(config, "model.layers.0.self_attn.q_proj"), 8.0);
  EXPECT_EQ(scale_of(config, "model.layers.0.self_attn.k_proj"), 0.5);
  config.use_rslora = true;
  EXPECT_EQ(scale_of(config, "model.layers.0.self_attn.v_proj"), 8.0);
  EXPECT_EQ(scale_of(config, "model.layers.1.self_attn.q_proj"), 32 / std::sqrt(2.0));
}

/// re.match(rf"(.*\.)?({key})$", path), and the first key of the file that matches (peft.utils.other.get_pattern_key).
TEST(AdapterConfigFile, KeysOfPatternsAreRegularExpressions) {
  const PeftConfig config = read_text(
      R"({"peft_type":"LORA","r":16,"rank_pattern":{"layers\\.(0|2)\\.self_attn\\.q_proj":3,"q_proj":4,"layers.1.self_attn.q_proj":5,
          ".*down.*":6}})");
  EXPECT_EQ(rank_of(config, "model.layers.0.self_attn.q_proj"), 3);
  EXPECT_EQ(rank_of(config, "model.layers.2.self_attn.q_proj"), 3);
  EXPECT_EQ(rank_of(config, "model.layers.1.self_attn.q_proj"), 4);  // the first match counts
  EXPECT_EQ(rank_of(config, "model.layers.12.self_attn.q_proj"), 4);
  EXPECT_EQ(rank_of(config, "model.layers.1.mlp.down_proj"), 6);
  EXPECT_EQ(rank_of(config, "model.layers.1.self_attn.v_proj"), 16);
  const PeftConfig again = read_text(adapter_config_text(config));  // keeps the order
  EXPECT_EQ(again.rank_pattern, config.rank_pattern);
}

TEST(AdapterConfigFile, TargetAndExcludedModules) {
  const auto targeted = [](const std::string& keys) {
    return is_targeted(read_text(R"({"peft_type":"LORA")" + keys + "}"), "model.layers.3.self_attn.q_proj");
  };
  EXPECT_TRUE(targeted(""));
  EXPECT_TRUE(targeted(R"(,"target_modules":"all-linear")"));
  EXPECT_TRUE(targeted(R"(,"target_modules":["o_proj","q_proj"])"));
  EXPECT_TRUE(targeted(R"(,"target_modules":["model.layers.3.self_attn.q_proj"])"));
  EXPECT_FALSE(targeted(R"(,"target_modules":["o_proj","proj","model.layers.2.self_attn.q_proj"])"));
  EXPECT_TRUE(targeted(R"(,"target_modules":".*\\.[qv]_proj")"));
  EXPECT_FALSE(targeted(R"(,"target_modules":"[qv]_proj")"));  // must match the whole path
  EXPECT_TRUE(targeted(R"(,"target_modules":"(?P<")"));        // rejected by PCRE2: the tensors decide
  EXPECT_FALSE(targeted(R"(,"target_modules":["q_proj"],"exclude_modules":["self_attn.q_proj"])"));
  EXPECT_FALSE(targeted(R"(,"target_modules":["q_proj"],"exclude_modules":".*\\.3\\..*")"));
  EXPECT_TRUE(targeted(R"(,"target_modules":["q_proj"],"exclude_modules":["v_proj"])"));
}

TEST(AdapterConfigFile, LayersToTransform) {
  const auto transformed = [](const std::string& keys, const std::string& path) {
    return is_transformed(read_text(R"({"peft_type":"LORA")" + keys + "}"), path);
  };
  EXPECT_TRUE(transformed("", "model.layers.3.self_attn.q_proj"));
  EXPECT_TRUE(transformed(R"(,"layers_to_transform":3)", "model.layers.3.self_attn.q_proj"));
  EXPECT_FALSE(transformed(R"(,"layers_to_transform":3)", "model.layers.13.self_attn.q_proj"));
  EXPECT_TRUE(transformed(R"(,"layers_to_transform":[0,3],"layers_pattern":"layers")", "model.layers.3.self_attn.q_proj"));
  EXPECT_FALSE(transformed(R"(,"layers_to_transform":[0,3],"layers_pattern":["layers"])", "model.layers.1.self_attn.q_proj"));
  EXPECT_FALSE(transformed(R"(,"layers_to_transform":[3],"layers_pattern":["h"])", "model.layers.3.self_attn.q_proj"));
  EXPECT_TRUE(transformed(R"(,"layers_to_transform":[3],"layers_pattern":["x","h"])", "transformer.h.3.attn.c_attn"));
}

}  // namespace
}  // namespace lora_dist::adapter_config_test
