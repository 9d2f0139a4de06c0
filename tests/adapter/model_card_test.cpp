// README.md of adapter folders: commands for readers, with the adapter's own names.
#include "src/adapter/model_card.h"

#include <gmock/gmock.h>

namespace lora_dist::model_card_test {
namespace {

using testing::HasSubstr;
using testing::Not;

PeftConfig config_of(std::int64_t rank, std::vector<std::string> targets) {
  PeftConfig config;
  config.r = rank;
  config.base_model_name_or_path = "/models/llama";
  config.target_modules = std::move(targets);
  return config;
}

TEST(ModelCard, HasACommandForEachReader) {
  const std::string card = model_card(config_of(20, {"q_proj", "v_proj"}), std::nullopt);
  EXPECT_THAT(card,
              HasSubstr("lora_dist export --for gguf --type q4_k_m --model \"/models/llama\" --adapter path/to/this/folder"));
  EXPECT_THAT(card, HasSubstr("lora_dist export --for llama.cpp --model \"/models/llama\" --adapter path/to/this/folder"));
  EXPECT_THAT(card, HasSubstr("llama-cli -m base.gguf --lora adapter.gguf"));
  EXPECT_THAT(card,
              HasSubstr("lora_dist export --for vllm --adapter path/to/this/folder --output adapter-for-vllm\n"
                        "vllm serve \"/models/llama\" --enable-lora --max-lora-rank 32 --lora-modules adapter=adapter-for-vllm"));
}

TEST(ModelCard, RanksOfPatternsCount) {
  PeftConfig config = config_of(8, {"q_proj"});
  config.rank_pattern = {{"q_proj", 40}};
  EXPECT_THAT(model_card(config, std::nullopt), HasSubstr("--max-lora-rank 64 "));
}

TEST(ModelCard, WhatVllmDoesNotTakeIsMerged) {
  PeftConfig gpt2 = config_of(8, {"c_attn"});
  gpt2.fan_in_fan_out = true;
  for (const PeftConfig& config : {gpt2, config_of(8, {"query_key_value"}), config_of(1000, {"q_proj"})}) {
    const std::string card = model_card(config, std::nullopt);
    EXPECT_THAT(card, Not(HasSubstr("--enable-lora")));
    EXPECT_THAT(card, HasSubstr("lora_dist merge --model \"/models/llama\" --adapter path/to/this/folder --output merged"));
  }
}

TEST(ModelCard, LargestLoraRankOfVllm) {
  EXPECT_EQ(vllm_max_lora_rank(3), 8);
  EXPECT_EQ(vllm_max_lora_rank(16), 16);
  EXPECT_EQ(vllm_max_lora_rank(257), 320);
  EXPECT_EQ(vllm_max_lora_rank(513), 0);
}

}  // namespace
}  // namespace lora_dist::model_card_test
