// The rules of each reader for adapters, with the way out.
#include "src/convert/adapter_readers.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <utility>

#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::adapter_readers_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

AdapterFacts facts_with(const json& keys, const std::string& model_type = "llama") {
  AdapterFacts facts{"a",
                     {{"peft_type", "LORA"},
                      {"r", 8},
                      {"target_modules", {"q_proj"}},
                      {"bias", "none"},
                      {"use_dora", false},
                      {"rank_pattern", json::object()},
                      {"modules_to_save", nullptr},
                      {"init_lora_weights", true}},
                     {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"},
                     8,
                     model_type};
  facts.config.update(keys);
  return facts;
}

TEST(AdapterReaders, PlainLoraFitsAll) {
  const AdapterFacts facts = facts_with(json::object());
  EXPECT_EQ(verdict_of(Reader::peft, facts).fit, Fit::as_is);
  EXPECT_EQ(verdict_of(Reader::vllm, facts).fit, Fit::as_is);
  EXPECT_EQ(verdict_of(Reader::llama_cpp, facts).fit, Fit::as_is);
  EXPECT_EQ(verdict_of(Reader::gguf, facts).fit, Fit::exported);
}

/// PEFT takes them, and the servers do not: the way out is to merge.
TEST(AdapterReaders, WhatOnlyPeftTakes) {
  const std::vector<std::pair<json, const char*>> cases = {{{{"use_dora", true}}, "it has use_dora"},
                                                           {{{"modules_to_save", {"lm_head"}}}, "it has modules_to_save"},
                                                           {{{"lora_bias", true}}, "it has lora_bias"},
                                                           {{{"trainable_token_indices", {1}}}, "it has trainable_token_indices"},
                                                           {{{"bias", "all"}}, "it trains biases (bias = all)"},
                                                           {{{"peft_type", "IA3"}}, "its peft_type is IA3"},
                                                           {{{"peft_type", "VERA"}}, "its peft_type is VERA"},
                                                           {{{"peft_type", "PREFIX_TUNING"}}, "its peft_type is PREFIX_TUNING"}};
  for (const auto& [keys, text] : cases) {
    const AdapterFacts facts = facts_with(keys);
    EXPECT_EQ(verdict_of(Reader::peft, facts).fit, Fit::as_is);
    for (const Reader reader : {Reader::vllm, Reader::llama_cpp, Reader::gguf}) {
      const ReaderVerdict verdict = verdict_of(reader, facts);
      const std::string type = keys.value("peft_type", "");
      if (reader == Reader::gguf && (keys.contains("use_dora") || type == "IA3" || type == "VERA")) {
        EXPECT_EQ(verdict.fit, Fit::exported);  // this program merges it
        continue;
      }
      EXPECT_EQ(verdict.fit, Fit::no) << text;
      EXPECT_THAT(verdict.reason, HasSubstr(text));
      EXPECT_THAT(verdict.reason, HasSubstr("merge"));
    }
  }
}

TEST(AdapterReaders, AdaLoraIsWrittenAsLora) {
  const AdapterFacts facts = facts_with({{"peft_type", "ADALORA"}});
  EXPECT_EQ(verdict_of(Reader::peft, facts).fit, Fit::exported);
  EXPECT_EQ(verdict_of(Reader::gguf, facts).fit, Fit::exported);
  EXPECT_EQ(verdict_of(Reader::vllm, facts).reason, "vLLM takes no AdaLoRA; it is written as plain LoRA");
  EXPECT_EQ(verdict_of(Reader::llama_cpp, facts).reason, "llama.cpp takes no AdaLoRA; it is written as plain LoRA");
}

TEST(AdapterReaders, WhatTensorsShow) {
  AdapterFacts facts = facts_with(json::object());
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", "DoRA's magnitudes"},
      {"base_model.model.lm_head.modules_to_save.weight", "whole trained modules"},
      {"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta", "trained tokens"},
      {"base_model.model.model.embed_tokens.lora_embedding_A", "adapts the embedding"},
      {"base_model.model.lm_head.lora_A.weight", "adapts the head"}};
  for (const auto& [name, text] : cases) {
    facts.tensors = {name};
    EXPECT_EQ(verdict_of(Reader::vllm, facts).fit, Fit::no) << name;
    EXPECT_THAT(verdict_of(Reader::llama_cpp, facts).reason, HasSubstr(text));
    EXPECT_EQ(is_readable(facts), std::string_view(text) == "DoRA's magnitudes") << name;
  }
  facts.tensors = {"base_model.model.lm_head.weight"};
  EXPECT_TRUE(is_readable(facts));
  for (const Reader reader : {Reader::vllm, Reader::llama_cpp}) {
    EXPECT_EQ(verdict_of(reader, facts).fit, Fit::exported);
    EXPECT_THAT(verdict_of(reader, facts).reason,
                HasSubstr("does not take the copy base_model.model.lm_head.weight; with --model"));
  }
}

/// PEFT cannot use them; the names of the tensors say what is adapted, and export writes these.
TEST(AdapterReaders, TargetsThatPeftCannotUse) {
  const std::vector<std::pair<json, const char*>> cases = {
      {nullptr, "target_modules is null, and PEFT would take its own default"},
      {json::array(), "target_modules is an empty list"},
      {"(", "target_modules \"(\" is no regular expression"}};
  for (const auto& [targets, text] : cases) {
    const ReaderVerdict verdict = verdict_of(Reader::peft, facts_with({{"target_modules", targets}}));
    EXPECT_EQ(verdict.fit, Fit::exported) << text;
    EXPECT_THAT(verdict.reason, HasSubstr(text));
  }
  EXPECT_EQ(verdict_of(Reader::peft, facts_with({{"target_modules", "all-linear"}})).fit, Fit::as_is);
  EXPECT_EQ(verdict_of(Reader::peft, facts_with({{"peft_type", "IA3"}, {"target_modules", nullptr}})).fit, Fit::as_is);
  const ReaderVerdict zero = verdict_of(Reader::llama_cpp, facts_with({{"lora_alpha", 0}}));
  EXPECT_EQ(zero.fit, Fit::exported);
  EXPECT_THAT(zero.reason, HasSubstr("llama.cpp takes lora_alpha 0 as no scaling"));
}

/// Loads everywhere without an error, and is wrong everywhere but in PEFT.
TEST(AdapterReaders, InitialisationsThatChangedTheBase) {
  for (const char* init : {"pissa_niter_4", "corda", "loftq", "lora_ga"}) {
    const AdapterFacts facts = facts_with({{"init_lora_weights", init}});
    EXPECT_EQ(verdict_of(Reader::peft, facts).fit, Fit::as_is);
    EXPECT_THAT(verdict_of(Reader::vllm, facts).reason, HasSubstr("convert the adapter in PEFT"));
    EXPECT_EQ(verdict_of(Reader::llama_cpp, facts).fit, Fit::no);
  }
  for (const char* init : {"pissa", "olora"}) {
    const AdapterFacts facts = facts_with({{"init_lora_weights", init}});
    EXPECT_EQ(verdict_of(Reader::peft, facts).fit, Fit::as_is);
    EXPECT_TRUE(is_readable(facts));
    for (const Reader reader : {Reader::vllm, Reader::llama_cpp}) {
      EXPECT_EQ(verdict_of(reader, facts).fit, Fit::exported);
      EXPECT_THAT(verdict_of(reader, facts).reason, HasSubstr("with --model it is written as plain LoRA"));
    }
    EXPECT_EQ(verdict_of(Reader::vllm, facts_with({{"init_lora_weights", init}, {"use_dora", true}})).fit, Fit::no);
  }
  EXPECT_EQ(verdict_of(Reader::vllm, facts_with({{"init_lora_weights", "gaussian"}})).fit, Fit::as_is);
}

TEST(AdapterReaders, ScalesThatAReaderLoses) {
  const AdapterFacts rslora = facts_with({{"use_rslora", true}});
  EXPECT_EQ(verdict_of(Reader::vllm, rslora).fit, Fit::as_is);
  EXPECT_EQ(verdict_of(Reader::llama_cpp, rslora).fit, Fit::exported);
  EXPECT_THAT(verdict_of(Reader::llama_cpp, rslora).reason, HasSubstr("ignores rsLoRA"));
  const AdapterFacts ranks = facts_with({{"rank_pattern", {{"v_proj", 4}}}});
  EXPECT_EQ(verdict_of(Reader::vllm, ranks).fit, Fit::exported);
  EXPECT_THAT(verdict_of(Reader::vllm, ranks).reason, HasSubstr("vLLM 0.19 ignores rank_pattern"));
  EXPECT_EQ(verdict_of(Reader::llama_cpp, ranks).fit, Fit::as_is);
  const AdapterFacts alphas = facts_with({{"alpha_pattern", {{"v_proj", 4}}}});
  EXPECT_EQ(verdict_of(Reader::vllm, alphas).fit, Fit::exported);
  EXPECT_THAT(verdict_of(Reader::llama_cpp, alphas).reason, HasSubstr("ignores alpha_pattern"));
  EXPECT_THAT(verdict_of(Reader::vllm, facts_with({{"target_modules", "all-linear"}})).reason,
              HasSubstr("target_modules as a list of names (it is \"all-linear\")"));
}

TEST(AdapterReaders, Families) {
  for (const char* family : {"gpt2", "gpt_neox"}) {
    EXPECT_EQ(verdict_of(Reader::vllm, facts_with(json::object(), family)).fit, Fit::no);
    EXPECT_NE(verdict_of(Reader::llama_cpp, facts_with(json::object(), family)).fit, Fit::no);
  }
  for (const char* family : {"stablelm", "starcoder2"}) {
    EXPECT_THAT(verdict_of(Reader::vllm, facts_with(json::object(), family)).reason,
                HasSubstr("vLLM has no LoRA for models of type"));
  }
  // By the names of its tensors; StarCoder 2 shares c_fc with GPT-2.
  for (const auto& [family, model_type] : {std::pair("gpt2", "gpt2"), {"gpt_neox_serial", "gpt_neox"}, {"starcoder2", ""}}) {
    const std::filesystem::path folder =
        std::filesystem::path(LORA_DIST_SOURCE_DIR) / "tests/golden/families" / family / "adapter_none";
    EXPECT_EQ(read_adapter_facts(folder, nullptr).model_type, model_type) << family;
  }
  EXPECT_THAT(verdict_of(Reader::llama_cpp, facts_with(json::object(), "gpt2")).reason, HasSubstr("turns the factors of GPT-2"));
  const ReaderVerdict other = verdict_of(Reader::llama_cpp, facts_with(json::object(), "opt"));
  EXPECT_EQ(other.fit, Fit::no);
  EXPECT_THAT(other.reason, HasSubstr("models of type opt cannot be written as GGUF"));
  EXPECT_EQ(verdict_of(Reader::gguf, facts_with(json::object(), "opt")).fit, Fit::no);
}

TEST(AdapterReaders, LargeRanks) {
  AdapterFacts facts = facts_with(json::object());
  facts.rank = 64;
  EXPECT_EQ(verdict_of(Reader::vllm, facts).reason, "with --max-lora-rank 64");
  facts.rank = 1024;
  EXPECT_EQ(verdict_of(Reader::vllm, facts).fit, Fit::no);
  EXPECT_THAT(verdict_of(Reader::vllm, facts).reason, HasSubstr("rank 1024 is above 512"));
}

TEST(AdapterReaders, FactsOfAFolder) {
  const auto families = source_dir() / "tests/golden/families";
  EXPECT_EQ(read_adapter_facts(families / "gpt2/adapter_none", nullptr).model_type, "gpt2");
  EXPECT_EQ(read_adapter_facts(families / "gpt_neox_serial/adapter_none", nullptr).model_type, "gpt_neox");
  EXPECT_EQ(read_adapter_facts(families / "exaone3/adapter_none", nullptr).model_type, "exaone");
  EXPECT_EQ(read_adapter_facts(families / "llama3/adapter_none", nullptr).model_type, "");
  EXPECT_EQ(read_adapter_facts(families / "llama3/adapter_none", nullptr).rank, 3);
  const Scratch scratch;
  EXPECT_THAT(thrown_by([&] { read_adapter_facts(scratch.path(), nullptr); }).message,
              HasSubstr("has no adapter_config.json; give the folder of a PEFT adapter"));
  put_file(scratch / "adapter_config.json", "[]");
  EXPECT_THAT(thrown_by([&] { read_adapter_facts(scratch.path(), nullptr); }).message, HasSubstr("it is not an object"));
  EXPECT_EQ(verdict_of(Reader::peft, facts_with({{"peft_type", nullptr}})).fit, Fit::no);
}

/// lora_dist merge takes them; export --for gguf does not.
TEST(AdapterReaders, TrainedModulesAreMergedBeforeTheyBecomeGguf) {
  const ReaderVerdict verdict = verdict_of(Reader::gguf, facts_with({{"modules_to_save", {"lm_head"}}}));
  EXPECT_EQ(verdict.fit, Fit::no);
  EXPECT_THAT(verdict.reason, HasSubstr("which export does not merge; merge it (lora_dist merge, or merge_and_unload of PEFT"));
}

}  // namespace
}  // namespace lora_dist::adapter_readers_test
