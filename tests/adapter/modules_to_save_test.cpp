// PEFT's rules of modules_to_save and trainable_token_indices, and what is said where a model does not fit them.
#include "src/adapter/modules_to_save.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/adapter/adapter_layout.h"
#include "tests/support/scratch.h"

namespace lora_dist::modules_to_save_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ModelSpec model_of(const std::string& family) {
  return read_model_config(std::filesystem::path(LORA_DIST_SOURCE_DIR) / "tests/golden/families" / family);
}

std::vector<std::string> paths_of(const AdapterLayout& layout) {
  std::vector<std::string> paths;
  for (const auto& [path, parameter] : named_parameters(layout)) {
    if (path.find("_proj") == std::string::npos && path.find("c_attn") == std::string::npos) {
      paths.push_back(path + "." + std::string(parameter.name));
    }
  }
  return paths;
}

AdapterSpec spec_for(std::vector<std::string> modules_to_save, TrainedTokens tokens = {}) {
  AdapterSpec spec;
  spec.modules_to_save = std::move(modules_to_save);
  spec.trained_tokens = std::move(tokens);
  spec.target_modules = {"all-linear"};
  return spec;
}

std::string problem_of(const std::string& family, const AdapterSpec& spec) {
  try {
    make_adapter_layout(model_of(family), spec);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "";
}

TEST(ModulesToSave, AreEveryModuleWhosePathEndsSo) {
  EXPECT_THAT(
      paths_of(make_adapter_layout(model_of("llama3"), spec_for({"norm"}))),
      ElementsAre("model.layers.0.input_layernorm.modules_to_save", "model.layers.0.post_attention_layernorm.modules_to_save",
                  "model.layers.1.input_layernorm.modules_to_save", "model.layers.1.post_attention_layernorm.modules_to_save",
                  "model.norm.modules_to_save"));
  EXPECT_THAT(paths_of(make_adapter_layout(model_of("qwen3"), spec_for({"head", "tokens"}))),
              ElementsAre("model.embed_tokens.modules_to_save", "lm_head.modules_to_save"));
}

TEST(ModulesToSave, NamesOfOtherModulesAreRefused) {
  EXPECT_THAT(
      problem_of("qwen3", spec_for({"norm"})),
      HasSubstr("adapter.modules_to_save: \"norm\" also matches model.layers.0.self_attn.k_norm, as every path that ends so"));
  EXPECT_THAT(problem_of("llama3", spec_for({"q_proj"})),
              HasSubstr("also matches model.layers.0.self_attn.q_proj, as every path that ends so; what can be trained whole is "
                        "the embedding (model.embed_tokens), the head (lm_head) and the norms of the hidden size "
                        "(input_layernorm, post_attention_layernorm, norm); write a longer ending"));
  EXPECT_THAT(problem_of("gpt2", spec_for({"wpe"})), HasSubstr("also matches transformer.wpe"));
  EXPECT_THAT(problem_of("gpt2", spec_for({"h"})), HasSubstr("also matches transformer.h"));
  EXPECT_THAT(problem_of("llama3", spec_for({"classifier"})),
              HasSubstr("adapter.modules_to_save: \"classifier\" matches no module of this llama model"));
}

TEST(ModulesToSave, AreNoTargets) {
  AdapterSpec spec;
  spec.target_modules = {"q_proj", "lm_head"};
  EXPECT_THAT(
      problem_of("llama3", spec),
      HasSubstr("adapter.target_modules: \"lm_head\" is lm_head; low-rank factors of embedding and head are not built yet: "
                "adapter.modules_to_save trains them whole"));
  spec.target_modules = {"wte"};
  EXPECT_THAT(problem_of("gpt2", spec), HasSubstr("\"wte\" is transformer.wte"));
}

TEST(TrainableTokens, AreIdsOfTheModel) {
  EXPECT_THAT(problem_of("llama3", spec_for({}, {{97}, {}})),
              HasSubstr("adapter.trainable_token_indices: 97 is not the id of a token; this model has ids from 0 to 96"));
  EXPECT_THAT(problem_of("llama3", spec_for({}, {{5, 7, 5}, {}})),
              HasSubstr("adapter.trainable_token_indices names 5 twice; name it once"));
  EXPECT_THAT(problem_of("qwen3", spec_for({"embed_tokens"}, {{5}, {}})),
              HasSubstr("adapter.modules_to_save already trains every row of model.embed_tokens, and "
                        "adapter.trainable_token_indices some of them; leave one of the two out"));
  EXPECT_THAT(problem_of("llama3", spec_for({"lm_head"}, {{5}, {}})), HasSubstr("already trains every row"));  // one table
  EXPECT_EQ(problem_of("qwen3", spec_for({"lm_head"}, {{5}, {}})), "");
}

}  // namespace
}  // namespace lora_dist::modules_to_save_test
