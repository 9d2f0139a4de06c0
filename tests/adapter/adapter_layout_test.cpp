// Adapted layers, and initial values of the factors.
#include "src/adapter/adapter_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "src/core/error.h"
#include "src/model/family.h"
#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"

namespace lora_dist::adapter_layout_test {
namespace {

TEST(Targets, NamesAndAllLinear) {
  const ModelSpec llama = read_model_config(test::source("demo/model"));
  const std::array<bool, kLinears> all{true, true, true, true, true, true, true, false};
  EXPECT_EQ(match_targets(llama, {"all-linear"}), AdaptedLinears(5, all));
  const std::array<bool, kLinears> two{true, false, false, false, false, false, true, false};
  EXPECT_EQ(match_targets(llama, {"q_proj", "mlp.down_proj"}), AdaptedLinears(5, two));
  try {
    match_targets(llama, {"q_proj", "c_attn"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what())
                  .find("\"c_attn\" matches no linear layer of this llama model; there are q_proj, k_proj, "
                        "v_proj, o_proj, gate_proj, up_proj, down_proj, or \"all-linear\""),
              std::string::npos);
  }
}

/// peft.tuners.tuners_utils.check_target_module_exists: a whole path is one module of one layer.
TEST(Targets, OfOneLayerAndByRegularExpression) {
  const ModelSpec llama = read_model_config(test::source("demo/model"));
  const std::array<bool, kLinears> q{true, false, false, false, false, false, false, false};
  const AdaptedLinears one = match_targets(llama, {"model.layers.3.self_attn.q_proj"});
  EXPECT_EQ(one, (AdaptedLinears{{}, {}, {}, q, {}}));
  EXPECT_EQ(target_names(*llama.family, one), std::vector<std::string>{"model.layers.3.self_attn.q_proj"});
  EXPECT_EQ(match_targets(llama, {"layers.3.self_attn.q_proj"}), one);
  const AdaptedLinears two = match_targets(llama, {R"(.*\.[12]\..*\.(q|v)_proj)"});
  const std::array<bool, kLinears> qv{true, false, true, false, false, false, false, false};
  EXPECT_EQ(two, (AdaptedLinears{{}, qv, qv, {}, {}}));
  EXPECT_EQ(match_targets(llama, target_names(*llama.family, two)), two);
  const auto problem_of = [&](const std::string& target) {
    const Thrown error = thrown_by([&] { match_targets(llama, {target}); });
    EXPECT_EQ(error.code, ExitCode::usage);
    return error.message;
  };
  EXPECT_NE(problem_of("(q|v)_proj").find("matches no linear layer"), std::string::npos);  // not the whole path
  EXPECT_NE(problem_of("model.layers.5.self_attn.q_proj").find("matches no linear layer"), std::string::npos);
  EXPECT_NE(problem_of(".*(q|v_proj").find("\".*(q|v_proj\" is not a regular expression"), std::string::npos);
}

/// GPT-2 has two layers named c_proj per block: PEFT's rule matches both; a longer name matches one.
TEST(Targets, OfGpt2) {
  const ModelSpec gpt2 = read_model_config(test::source("tests/golden/families/gpt2"));
  const auto both = match_targets(gpt2, {"c_attn", "c_proj"});
  EXPECT_EQ(both.front(), (std::array<bool, kLinears>{false, false, false, true, false, false, true, true}));
  EXPECT_EQ(both, AdaptedLinears(2, both.front()));
  EXPECT_EQ(target_names(*gpt2.family, both), (std::vector<std::string>{"c_proj", "c_attn"}));
  const auto one = match_targets(gpt2, {"attn.c_proj"});
  EXPECT_EQ(one, AdaptedLinears(2, {false, false, false, true, false, false, false, false}));
  EXPECT_EQ(target_names(*gpt2.family, one), std::vector<std::string>{"attn.c_proj"});
  try {
    match_targets(gpt2, {"q_proj"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("of this gpt2 model; there are c_proj, c_fc, c_attn, or"), std::string::npos);
  }
}

TEST(Adapters, StartAsPeftDoes) {
  const ModelSpec spec = read_model_config(test::source("demo/model"));
  const AdapterLayout layout = make_adapter_layout(spec, {8, 16.0, 0.0, false, {"q_proj", "down_proj"}});
  EXPECT_EQ(layout.count, 5 * (8 * (64 + 64) + 8 * (172 + 64)));
  std::vector<float> params(static_cast<std::size_t>(layout.count), 9.0F);
  initialize_adapters(layout, 42, params);
  double square = 0.0;
  std::int64_t n = 0;
  for (const auto& [path, parameter] : named_parameters(layout)) {
    const float bound = 1.0F / std::sqrt(static_cast<float>(parameter.cols()));
    for (std::int64_t i = 0; i < parameter.shape.count(); ++i) {
      const float value = params[static_cast<std::size_t>(parameter.offset + i)];
      if (parameter.name == "lora_B") {
        ASSERT_EQ(value, 0.0F);
      } else {
        ASSERT_LE(std::abs(value), bound);
        square += static_cast<double>(value / bound) * static_cast<double>(value / bound);
        ++n;
      }
    }
  }
  EXPECT_NEAR(square / static_cast<double>(n), 1.0 / 3.0, 0.02);  // the variance of a uniform number
  EXPECT_FLOAT_EQ(make_adapter_layout(spec, {16, 32.0, 0.0, true, {"q_proj"}}).blocks[0][0]->scale, 8.0F);
}

std::string error_of_layout(const ModelSpec& model, const AdapterSpec& spec) {
  try {
    make_adapter_layout(model, spec);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "no error";
}

TEST(Adapters, LeaveOutModulesAndBlocks) {
  const ModelSpec model = read_model_config(test::source("demo/model"));  // five blocks
  AdapterSpec spec;
  spec.target_modules = {"all-linear"};
  spec.exclude_modules = {"mlp.down_proj", R"(.*\.1\.mlp\..*)"};
  spec.layers_to_transform = {1, 3};
  const AdapterLayout layout = make_adapter_layout(model, spec);
  std::size_t modules = 0;
  for (const NamedParameter& named : named_parameters(layout)) {
    EXPECT_EQ(named.path.find("down_proj"), std::string::npos);
    EXPECT_TRUE(named.path.find(".1.self_attn.") != std::string::npos || named.path.find(".3.") != std::string::npos)
        << named.path;
    ++modules;
  }
  EXPECT_EQ(modules, 2U * (4U + 6U));
  spec.layers_to_transform = {5};
  EXPECT_EQ(error_of_layout(model, spec), "adapter.layers_to_transform: 5 is no block of this model; they are 0 to 4");
  spec.layers_to_transform = {};
  spec.exclude_modules = {"z_proj"};
  EXPECT_THAT(error_of_layout(model, spec), testing::HasSubstr("adapter.exclude_modules: \"z_proj\" matches no linear layer"));
  spec.target_modules = spec.exclude_modules = {"q_proj"};
  EXPECT_EQ(
      error_of_layout(model, spec),
      "adapter.exclude_modules and adapter.layers_to_transform take out every layer of adapter.target_modules; leave one in");
}

TEST(Adapters, FeedForwardModulesEndAdaptedOnes) {
  const ModelSpec model = read_model_config(test::source("demo/model"));
  AdapterSpec spec;
  spec.method = &ia3_method();
  spec.target_modules = {"k_proj", "down_proj"};
  spec.feedforward_modules = {"down_proj"};
  const AdapterLayout layout = make_adapter_layout(model, spec);
  EXPECT_FALSE(layout.blocks[0][index_of(Linear::k)]->feedforward);
  EXPECT_TRUE(layout.blocks[0][index_of(Linear::down)]->feedforward);
  EXPECT_EQ(layout.blocks[0][index_of(Linear::down)]->parameters[0].shape, (Shape{1, 172}));
  spec.feedforward_modules = {"up_proj"};
  EXPECT_EQ(error_of_layout(model, spec),
            "adapter.ia3.feedforward_modules: \"up_proj\" ends no adapted layer; the adapter has k_proj, down_proj");
}

TEST(Adapters, HaveRanksAndAlphasByPattern) {
  const ModelSpec model = read_model_config(test::source("demo/model"));
  AdapterSpec spec{8, 16.0, 0.0, false, {"q_proj", "down_proj"}};
  spec.rank_pattern = {{R"(layers\.0\.mlp\..*)", 2}, {"q_proj", 4}};
  spec.alpha_pattern = {{"down_proj", 6.0}};
  const AdapterLayout layout = make_adapter_layout(model, spec);
  const auto& q = layout.blocks[1][index_of(Linear::q)];
  const auto& first_down = layout.blocks[0][index_of(Linear::down)];
  const auto& down = layout.blocks[1][index_of(Linear::down)];
  EXPECT_EQ(q->r, 4);
  EXPECT_EQ(q->scale, 4.0F);
  EXPECT_EQ(first_down->r, 2);
  EXPECT_EQ(first_down->scale, 3.0F);
  EXPECT_EQ(down->r, 8);
  EXPECT_EQ(down->scale, 0.75F);
  spec.rank_pattern = {{"k_proj", 2}};
  EXPECT_THAT(error_of_layout(model, spec),
              testing::HasSubstr("adapter.rank_pattern: \"k_proj\" matches no adapted layer; the adapter has q_proj, down_proj"));
  spec.rank_pattern = {{R"(layers\.2\..*)", 2}, {"q_proj", 4}};
  EXPECT_EQ(error_of_layout(model, spec),
            "adapter.rank_pattern: both \"layers\\.2\\..*\" and \"q_proj\" match "
            "model.layers.2.self_attn.q_proj; write them so that one does");
  spec.rank_pattern = {{"q_proj(", 4}};
  EXPECT_THAT(error_of_layout(model, spec), testing::HasSubstr("adapter.rank_pattern: \"q_proj(\" "));
}

TEST(Adapters, StartFromNormalValuesAsPeftsGaussian) {
  const ModelSpec spec = read_model_config(test::source("demo/model"));
  const AdapterLayout layout = make_adapter_layout(spec, {8, 16.0, 0.0, false, {"all-linear"}});
  std::vector<float> params(static_cast<std::size_t>(layout.count), 9.0F);
  initialize_adapters(layout, 42, params, LoraInit::gaussian);
  double sum = 0.0;
  double square = 0.0;
  double fourth = 0.0;
  std::int64_t n = 0;
  for (const auto& [path, parameter] : named_parameters(layout)) {
    for (std::int64_t i = 0; i < parameter.shape.count(); ++i) {
      const double value = 8.0 * static_cast<double>(params[static_cast<std::size_t>(parameter.offset + i)]);
      if (parameter.name == "lora_B") {
        ASSERT_EQ(value, 0.0);
      } else {
        sum += value;
        square += value * value;
        fourth += value * value * value * value;
        ++n;
      }
    }
  }
  ASSERT_GT(n, 20000);
  EXPECT_NEAR(sum / static_cast<double>(n), 0.0, 0.02);  // three standard errors
  EXPECT_NEAR(square / static_cast<double>(n), 1.0, 0.03);
  EXPECT_NEAR(fourth / static_cast<double>(n), 3.0, 0.2);  // of a normal distribution
}

class FamilyConfig : public testing::Test {
 protected:
  static nlohmann::json config_of(const std::string& variant) {
    return test::read_json(test::source("tests/golden/families/" + variant + "/config.json"));
  }
  ModelSpec read(const nlohmann::json& config) {
    folder_.write("config.json", config.dump());
    return read_model_config(folder_.path());
  }
  Scratch folder_;
};

TEST_F(FamilyConfig, EveryFamilyAdaptsEachOfItsLinears) {
  for (const char* variant : {"llama3",
                              "mistral_window",
                              "qwen2_window",
                              "qwen3",
                              "gemma",
                              "gpt2",
                              "gpt_neox_serial",
                              "exaone3",
                              "exaone4_hybrid",
                              "gemma3",
                              "gemma2",
                              "phi3",
                              "smollm3",
                              "granite",
                              "glm4",
                              "hyperclovax",
                              "cohere2",
                              "ministral3",
                              "stablelm_parallel",
                              "starcoder2",
                              "nemotron",
                              "olmo2",
                              "olmo3"}) {
    const ModelSpec spec = read(config_of(variant));
    const AdaptedLinears adapted = match_targets(spec, {"all-linear"});
    for (const Linear linear : kAllLinears) {
      EXPECT_EQ(adapted.front()[index_of(linear)], linear_shape(spec, linear).out > 0) << variant;
    }
  }
}

}  // namespace
}  // namespace lora_dist::adapter_layout_test
