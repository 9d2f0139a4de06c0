// Each family's reading of config.json: defaults, windows, rotation, and every message.
#include <gtest/gtest.h>

#include <cmath>

#include "src/core/error.h"
#include "src/model/family.h"
#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"

namespace lora_dist::family_config_test {
namespace {

using nlohmann::json;

class FamilyConfig : public testing::Test {
 protected:
  static json config_of(const std::string& variant) {
    return test::read_json(test::source("tests/golden/families/" + variant + "/config.json"));
  }
  static json without(json config, const std::string& key) {
    config.erase(key);
    return config;
  }
  static json with(json config, const std::string& key, const json& value) {
    config[key] = value;
    return config;
  }
  ModelSpec read(const json& config) {
    folder_.write("config.json", config.dump());
    return read_model_config(folder_.path());
  }
  void expect_message(const json& config, const std::string& part) {
    try {
      read(config);
      ADD_FAILURE() << "no error: " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::model);
      EXPECT_NE(std::string(error.what()).find("config.json: "), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
  std::vector<std::int64_t> windows(const json& config) {
    const ModelSpec spec = read(config);
    std::vector<std::int64_t> all;
    for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
      all.push_back(spec.layer(layer).window);
    }
    return all;
  }

  Scratch folder_;
};

TEST_F(FamilyConfig, MistralHasAWindowUnlessItIsNull) {
  const json base = config_of("mistral_window");
  EXPECT_EQ(windows(base), (std::vector<std::int64_t>{7, 7}));
  EXPECT_EQ(windows(with(base, "sliding_window", nullptr)), (std::vector<std::int64_t>{0, 0}));
  EXPECT_EQ(windows(without(base, "sliding_window")), (std::vector<std::int64_t>{4096, 4096}));  // transformers' default
  expect_message(with(base, "sliding_window", 0), "key \"sliding_window\" must be from 1 to");
}

TEST_F(FamilyConfig, QwenHasWindowsOnTheUpperLayers) {
  const json base = config_of("qwen2_window");
  EXPECT_EQ(windows(base), (std::vector<std::int64_t>{0, 6, 6}));
  EXPECT_EQ(windows(with(base, "use_sliding_window", false)), (std::vector<std::int64_t>{0, 0, 0}));
  const json types = with(base, "layer_types", {"sliding_attention", "full_attention", "full_attention"});
  EXPECT_EQ(windows(types), (std::vector<std::int64_t>{6, 0, 0}));
  expect_message(with(base, "layer_types", {"full_attention"}), "an entry for each of the 3 layers");
  expect_message(with(base, "layer_types", {"linear_attention", "full_attention", "full_attention"}),
                 "key \"layer_types\" has \"linear_attention\", which is not supported");
}

TEST_F(FamilyConfig, Exaone4RotatesWhereItHasAWindow) {
  const json base = without(config_of("exaone4_hybrid"), "layer_types");
  EXPECT_EQ(windows(with(base, "sliding_window_pattern", 2)), (std::vector<std::int64_t>{8, 0, 8}));
  EXPECT_EQ(windows(with(base, "sliding_window_pattern", "LG")), (std::vector<std::int64_t>{8, 0, 0}));  // the last is global
  const ModelSpec hybrid = read(with(base, "sliding_window_pattern", 2));
  EXPECT_TRUE(hybrid.layer(0).rotary);
  EXPECT_FALSE(hybrid.layer(1).rotary);
  EXPECT_TRUE(read(config_of("exaone4_global")).layer(1).rotary);
  expect_message(with(base, "sliding_window_pattern", "LX"), "must be a number or a text of the letters L and G");
  expect_message(with(config_of("qwen3"), "rope_parameters", {{"full_attention", json::object()}}),
                 "gives each kind of layer its own rotation");
}

TEST_F(FamilyConfig, NeoxRotatesPartOfAHead) {
  const json base = config_of("gpt_neox_parallel");
  EXPECT_EQ(read(base).rotary_width(), 4);
  EXPECT_EQ(read(without(base, "rotary_pct")).rotary_width(), 4);
  EXPECT_EQ(read(with(base, "rotary_pct", 0.2)).rotary_width(), 4);  // three, and one more
  EXPECT_EQ(read(with(base, "rotary_emb_base", 500.0)).rope.theta, 500.0);
  EXPECT_FALSE(read(with(base, "use_parallel_residual", false)).parallel_residual);
  expect_message(with(base, "rotary_pct", 0.01), "rotary_pct must leave at least one dimension");
  expect_message(with(base, "rotary_pct", 1.5), "rotary_pct must leave at least one dimension");
  expect_message(with(base, "hidden_size", 49), "must be a multiple of the number of heads (3)");
}

TEST_F(FamilyConfig, Gpt2) {
  const json base = config_of("gpt2");
  const ModelSpec spec = read(base);
  EXPECT_EQ(spec.intermediate, 160);
  EXPECT_EQ(spec.rotary_width(), 0);
  EXPECT_TRUE(spec.tied_head);
  EXPECT_EQ(read(with(base, "scale_attn_by_inverse_layer_idx", true)).layer(1).score_scale, 0.5F);
  EXPECT_FLOAT_EQ(read(with(base, "scale_attn_weights", false)).layer(1).score_scale, std::sqrt(10.0F));
  expect_message(with(base, "add_cross_attention", true),
                 "add_cross_attention is true, and only language models without an encoder are supported");
  expect_message(without(base, "n_embd"), "key \"n_embd\" is missing; is this the config.json of a gpt2 model?");
  const ModelSpec dropping = read(with(base, "resid_pdrop", 0.1));
  ASSERT_EQ(dropping.warnings.size(), 1U);
  EXPECT_NE(dropping.warnings[0].find("dropout inside the frozen base (resid_pdrop) is not applied"), std::string::npos);
}

TEST_F(FamilyConfig, Gemma) {
  const json base = config_of("gemma");
  EXPECT_EQ(read(without(base, "head_dim")).head_dim, 256);
  EXPECT_TRUE(read(without(base, "tie_word_embeddings")).tied_head);
  EXPECT_EQ(read(with(base, "hidden_act", "gelu")).activation, Activation::gelu_tanh);
  expect_message(with(base, "hidden_act", "silu"), "hidden_act \"silu\" is not supported for gemma");
  expect_message(with(base, "hidden_act", "relu2"), "hidden_act \"relu2\" is not supported for gemma");
  expect_message(with(base, "use_bidirectional_attention", true), "use_bidirectional_attention is true");
}

TEST_F(FamilyConfig, Gemma2) {
  const json base = config_of("gemma2");
  EXPECT_EQ(windows(base), (std::vector<std::int64_t>{6, 0, 6}));
  EXPECT_EQ(windows(without(base, "layer_types")), (std::vector<std::int64_t>{6, 0, 6}));
  EXPECT_FLOAT_EQ(read(base).layer(1).score_scale, std::sqrt(12.0F) / 3.0F);  // in place of 1 / sqrt(head_dim)
  EXPECT_EQ(read(without(base, "attn_logit_softcapping")).score_cap, 50.0F);
  EXPECT_EQ(read(without(base, "final_logit_softcapping")).logits_cap, 30.0F);
  EXPECT_EQ(read(with(base, "final_logit_softcapping", nullptr)).logits_cap, 0.0F);
  expect_message(with(base, "attn_logit_softcapping", -1.0), "key \"attn_logit_softcapping\" must be a number above 0");
  expect_message(with(base, "attn_logit_softcapping", 1e-300),
                 "key \"attn_logit_softcapping\" is 1e-300, which is outside of fp32's");
}

/// As transformers 4 wrote it, and as transformers 5 does.
TEST_F(FamilyConfig, Gemma3HasTwoRotations) {
  const json base = config_of("gemma3");
  json old = without(without(base, "rope_parameters"), "layer_types");
  old.update({{"rope_theta", 50000.0},
              {"rope_local_base_freq", 500.0},
              {"rope_scaling", {{"rope_type", "linear"}, {"factor", 4.0}}},
              {"sliding_window_pattern", 2}});
  for (const json& config : {base, old}) {
    const ModelSpec spec = read(config);
    EXPECT_EQ(windows(config), (std::vector<std::int64_t>{7, 0, 7}));
    EXPECT_EQ(spec.rope.theta, 50000.0);
    EXPECT_EQ(spec.rope.factor, 4.0);
    EXPECT_EQ(spec.window_rope->theta, 500.0);
    EXPECT_EQ(spec.window_rope->type, "default");
    EXPECT_TRUE(spec.warnings.empty());
  }
  const ModelSpec plain = read(without(base, "rope_parameters"));
  EXPECT_EQ(plain.rope.theta, 1e6);
  EXPECT_EQ(plain.window_rope->theta, 10000.0);
  EXPECT_EQ(plain.score_cap, 0.0F);
  expect_message(with(base, "rope_parameters", {{"full_attention", 3}}),
                 "key \"rope_parameters\" must have an object for full_attention");
  expect_message(with(base, "rope_parameters", {{"full_attention", {{"rope_type", "dynamic"}, {"factor", 2.0}}}}),
                 "rope type \"dynamic\" is not supported for gemma3_text models");
  expect_message(with(base, "rope_parameters", "x"), "key \"rope_parameters\" must be an object");
  expect_message(with(base, "rope_scaling", "x"), "key \"rope_scaling\" must be an object");
  const ModelSpec flat = read(with(base, "rope_parameters", {{"rope_type", "linear"}, {"factor", 4.0}}));
  ASSERT_EQ(flat.warnings.size(), 2U);
  EXPECT_NE(flat.warnings[0].find("rope_parameters has no object for "), std::string::npos) << flat.warnings[0];
}

TEST_F(FamilyConfig, Phi3) {
  const json base = config_of("phi3");
  EXPECT_EQ(read(base).rotary_width(), 10);
  EXPECT_NEAR(read(base).rope.attention_factor, std::sqrt(1.0 + std::log(128.0 / 24.0) / std::log(24.0)), 1e-12);
  EXPECT_EQ(read(without(base, "original_max_position_embeddings")).rope.original_positions, 4096);  // not the object's
  EXPECT_EQ(windows(config_of("phi3_window")), (std::vector<std::int64_t>{7, 7}));
  json early = base;
  early["rope_parameters"]["rope_type"] = "su";
  EXPECT_EQ(read(early).rope.type, "longrope");
  expect_message(with(base, "rope_parameters", {{"rope_type", "linear"}, {"factor", 2.0}}),
                 "rope type \"linear\" is not supported for phi3 models (default and longrope are)");
  expect_message(with(base, "lm_head_bias", true), "lm_head_bias is true, and only a head without a bias is supported");
}

TEST_F(FamilyConfig, SmolLm3RotatesWhereItIsTold) {
  const json base = config_of("smollm3");
  const auto rotations = [&](const json& config) {
    const ModelSpec spec = read(config);
    std::vector<bool> all;
    for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
      all.push_back(spec.layer(layer).rotary);
    }
    return all;
  };
  const json untold = without(base, "no_rope_layers");
  EXPECT_EQ(rotations(base), (std::vector<bool>{true, false, true, false}));
  EXPECT_EQ(rotations(untold), rotations(base));
  EXPECT_EQ(rotations(without(untold, "no_rope_layer_interval")), (std::vector<bool>{true, true, true, false}));
  EXPECT_EQ(rotations(with(base, "no_rope_layers", {0, 1, 1, 0})), (std::vector<bool>{false, true, true, false}));
  json windowed = without(base, "layer_types");
  windowed.update({{"use_sliding_window", true}, {"sliding_window", 5}});
  EXPECT_EQ(windows(windowed), (std::vector<std::int64_t>{0, 5, 0, 5}));
  expect_message(with(base, "no_rope_layers", {0, 1, nullptr, 0}), "must have a 0 or 1 for layer 2 (got null)");
  expect_message(with(base, "no_rope_layers", {1, 1}),
                 "key \"no_rope_layers\" must be a list with a 0 or 1 for each of the 4 layers");
}

/// Granite divides logits by logits_scaling, HyperCLOVAX multiplies them by it.
TEST_F(FamilyConfig, FactorsOfGraniteAndHyperClovax) {
  const ModelSpec granite = read(config_of("granite"));
  EXPECT_FLOAT_EQ(granite.logits_scale, 2.5F);
  EXPECT_FLOAT_EQ(granite.residual_scale, 0.22F);
  EXPECT_FLOAT_EQ(granite.embedding_scale, 3.0F);
  EXPECT_FLOAT_EQ(granite.layer(1).score_scale, 0.25F * std::sqrt(10.0F));
  EXPECT_FLOAT_EQ(read(without(config_of("granite"), "attention_multiplier")).layer(0).score_scale, std::sqrt(10.0F));
  const json base = config_of("hyperclovax");
  EXPECT_FLOAT_EQ(read(base).logits_scale, 1.7F);
  EXPECT_FLOAT_EQ(read(without(base, "attention_multiplier")).layer(0).score_scale, 1.0F);
  EXPECT_TRUE(read(without(base, "use_post_norm")).norm_after);
  EXPECT_FALSE(read(config_of("hyperclovax_plain")).norm_after);
}

TEST_F(FamilyConfig, PartsOfHeads) {
  EXPECT_EQ(read(config_of("glm4")).rotary_width(), 6);
  EXPECT_EQ(read(without(config_of("stablelm"), "rope_parameters")).rotary_width(), 4);  // three of twelve, and one more
  EXPECT_EQ(read(without(config_of("nemotron"), "rope_parameters")).rotary_width(), 6);
  expect_message(with(without(config_of("glm4"), "rope_parameters"), "partial_rotary_factor", 1.5),
                 "partial_rotary_factor must leave at least one dimension of a head to rotate");
  expect_message(with(config_of("stablelm"), "qk_layernorm", true),
                 "qk_layernorm is true, and only heads without norms are supported");
}

TEST_F(FamilyConfig, Cohere2RotatesWhereItHasAWindow) {
  const json base = without(config_of("cohere2"), "layer_types");
  EXPECT_EQ(windows(base), (std::vector<std::int64_t>{6, 6, 6, 0}));
  EXPECT_FALSE(read(base).layer(3).rotary);
  EXPECT_TRUE(read(base).layer(2).rotary);
  EXPECT_EQ(read(without(base, "logit_scale")).logits_scale, 0.0625F);
}

TEST_F(FamilyConfig, Ministral3) {
  const ModelSpec plain = read(without(config_of("ministral3"), "rope_parameters"));
  EXPECT_EQ(plain.rope.type, "yarn");
  EXPECT_EQ(plain.rope.original_positions, 16384);
  EXPECT_EQ(plain.rope.query_growth, 0.1);
  EXPECT_EQ(read(config_of("ministral3")).rope.query_growth, 0.3);
  const ModelSpec unscaled = read(with(
      config_of("ministral3"), "rope_parameters",
      {{"rope_type", "default"}, {"rope_theta", 1e4}, {"llama_4_scaling_beta", 0.3}, {"original_max_position_embeddings", 16}}));
  EXPECT_EQ(read(with(config_of("ministral3"), "rope_parameters", {{"rope_type", "default"}, {"llama_4_scaling_beta", 0}}))
                .rope.query_growth,
            0.0);
  EXPECT_EQ(unscaled.rope.original_positions, 16);  // the queries' growth does not depend on the type of rotation
}

TEST_F(FamilyConfig, Olmo3ScalesTheRotationOfGlobalLayersAlone) {
  const json base = config_of("olmo3");
  EXPECT_EQ(read(base).rope.type, "yarn");
  EXPECT_EQ(read(base).window_rope->theta, 500.0);
  json old = without(without(base, "rope_parameters"), "layer_types");
  old.update({{"rope_theta", 7000.0}, {"rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}}}, {"num_hidden_layers", 4}});
  EXPECT_EQ(windows(old), (std::vector<std::int64_t>{7, 7, 7, 0}));
  EXPECT_EQ(read(old).rope.theta, 7000.0);
  EXPECT_EQ(read(old).rope.factor, 2.0);
  EXPECT_EQ(read(old).window_rope->theta, 5e5);  // as in transformers
  EXPECT_EQ(read(old).window_rope->type, "default");
}

TEST_F(FamilyConfig, InternLm3) {
  const json base = without(without(config_of("internlm3"), "attention_bias"), "mlp_bias");
  EXPECT_FALSE(read(base).bias[index_of(Linear::q)]);
  json named = base;
  named.update({{"qkv_bias", true}, {"bias", true}});
  EXPECT_TRUE(read(named).bias[index_of(Linear::down)]);
  expect_message(with(base, "qkv_bias", true), "qkv_bias different from bias is not supported for internlm3 models");
}

/// AutoModel of transformers 5 makes such a model a Ministral; log-probabilities of a random one differ by 1 nat between the two.
TEST_F(FamilyConfig, MistralTakesLayerTypesWhereItHasThem) {
  const json base = with(config_of("mistral_window"), "layer_types", {"sliding_attention", "full_attention"});
  EXPECT_EQ(windows(base), (std::vector<std::int64_t>{7, 0}));
  EXPECT_TRUE(read(base).warnings.empty());
}

}  // namespace
}  // namespace lora_dist::family_config_test
