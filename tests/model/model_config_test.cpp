// config.json: both forms, and every message.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "src/core/error.h"
#include "src/model/folder_warnings.h"
#include "src/model/prequantized.h"
#include "src/model/tensor_table.h"
#include "tests/model/model_fixture.h"
#include "tests/support/scratch.h"

namespace lora_dist {
namespace {

using nlohmann::json;

class ModelConfig : public testing::Test {
 protected:
  void SetUp() override { base_ = test::read_json(test::source("demo/model/config.json")); }

  ModelSpec read(const std::string& text) {
    folder_.write("config.json", text);
    return read_model_config(folder_.path());
  }
  std::string message(const json& config) { return message_of(config.dump()); }
  std::string message_of(const std::string& text) {
    try {
      read(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::model);
      EXPECT_NE(std::string(error.what()).find("config.json"), std::string::npos);
      return error.what();
    }
    return "no error";
  }
  json with(const std::string& key, const json& value) {
    json changed = base_;
    changed[key] = value;
    return changed;
  }

  Scratch folder_;
  json base_;
};

TEST_F(ModelConfig, BothFormsSayTheSame) {
  for (const std::string folder : {"tiny_llama_bias", "tiny_llama_head_dim"}) {
    const std::filesystem::path dir = test::source("tests/golden/" + folder);
    const std::string other = std::filesystem::exists(dir / "config_v4.json") ? "config_v4.json" : "config_v5.json";
    const ModelSpec a = read_model_config(dir);
    const ModelSpec b = read(test::read_json(dir / other).dump());
    EXPECT_EQ(make_rope_table(a, 64), make_rope_table(b, 64));
    EXPECT_EQ(a.head_dim, b.head_dim);
    EXPECT_EQ(a.kv_heads, b.kv_heads);
    EXPECT_EQ(a.bias, b.bias);
    EXPECT_EQ(a.eos_ids, b.eos_ids);
  }
}

TEST_F(ModelConfig, Defaults) {
  json config = base_;
  for (const char* key : {"num_key_value_heads", "head_dim", "rope_parameters", "rms_norm_eps", "tie_word_embeddings"}) {
    config.erase(key);
  }
  const ModelSpec spec = read(config.dump());
  EXPECT_EQ(spec.kv_heads, spec.heads);
  EXPECT_EQ(spec.head_dim, 8);
  EXPECT_EQ(spec.rope.theta, 10000.0);
  EXPECT_FLOAT_EQ(spec.norm_eps, 1e-6F);
  EXPECT_FALSE(spec.tied_head);
}

TEST_F(ModelConfig, RotationTable) {
  const ModelSpec spec = read(base_.dump());
  const std::vector<float> table = make_rope_table(spec, 4);
  EXPECT_FLOAT_EQ(table[3 * 8 + 0], std::cos(3.0F));
  EXPECT_FLOAT_EQ(table[3 * 8 + 4], std::sin(3.0F));
  EXPECT_NEAR(table[3 * 8 + 1], std::cos(3.0 * std::pow(10000.0, -0.25)), 1e-6);
}

TEST_F(ModelConfig, IdsOutsideTheVocabularyAreIgnoredWithAWarning) {
  json config = with("eos_token_id", json::array({2, 512}));
  config["bos_token_id"] = -1;
  const ModelSpec spec = read(config.dump());
  EXPECT_EQ(spec.eos_ids, std::vector<std::int64_t>{2});
  EXPECT_EQ(spec.bos_id, -1);
  ASSERT_EQ(spec.warnings.size(), 2U);
  EXPECT_NE(spec.warnings[1].find("eos_token_id 512 lies outside the vocabulary of 512"), std::string::npos);
}

TEST_F(ModelConfig, Messages) {
  const auto expect = [&](const json& config, const std::string& part) {
    EXPECT_NE(message(config).find(part), std::string::npos) << message(config);
  };
  EXPECT_NE(message_of("{ not json").find("is not valid JSON"), std::string::npos);
  EXPECT_NE(message_of(R"({"hidden_size":)" + std::string(100000, '[') + std::string(100000, ']') + "}").find("nest"),
            std::string::npos);
  EXPECT_NE(message_of("[]").find("must hold a JSON object"), std::string::npos);
  expect(with("model_type", "bert"),
         "model_type \"bert\" is not supported (exaone, exaone4, gemma, gpt2, gpt_neox, llama, mistral, qwen2, qwen3 are)");
  expect(with("hidden_size", nullptr), "key \"hidden_size\" is missing");
  expect(with("hidden_size", 0), "key \"hidden_size\" must be from 1 to");
  expect(with("vocab_size", 18446744073709551615ULL), "key \"vocab_size\" must be from 1 to");
  expect(with("hidden_size", "64"), "key \"hidden_size\" must be an integer (got \"64\")");
  expect(with("num_key_value_heads", 3), "must be a multiple of num_key_value_heads (3)");
  expect(with("head_dim", 7), "head_dim (7) must be even");
  expect(with("hidden_act", "relu"), "hidden_act \"relu\" is not supported (silu, gelu, gelu_new and gelu_pytorch_tanh are)");
  expect(with("rms_norm_eps", -1.0), "key \"rms_norm_eps\" must be a number above 0");
  expect(with("tie_word_embeddings", "yes"), "key \"tie_word_embeddings\" must be true or false");
  expect(with("rope_parameters", {{"rope_type", "yarn"}}), "rope type \"yarn\" is not supported");
  expect(with("rope_parameters", 3), "key \"rope_parameters\" must be an object");
  expect(with("rope_parameters", {{"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 4.0}, {"high_freq_factor", 4.0}}),
         "needs high_freq_factor above low_freq_factor");
  expect(with("eos_token_id", "</s>"), "must be an integer or a list of integers");
  expect(with("quantization_config", {{"quant_method", "gptq"}}), "are already quantized by gptq, which cannot be read");
  expect(with("quantization_config", {{"quant_method", "awq"}}), "are already quantized by awq, which");
  expect(with("quantization_config", {{"quant_method", "compressed-tensors"}}), "are already quantized by compressed-tensors");
  expect(with("quantization_config", {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}}),
         "are already quantized by bitsandbytes in 8 bits (load_in_8bit), which cannot be read");
  expect(with("quantization_config", {{"load_in_8bit", true}}), "by bitsandbytes in 8 bits (load_in_8bit)");  // old files
  expect(with("quantization_config", {{"quant_method", "bitsandbytes"}}), "by bitsandbytes (neither in 4 bits)");
  expect(with("quantization_config", "gptq"), "are already quantized by ?");
  EXPECT_THROW(read_model_config(folder_ / "nothing"), Error);
}

TEST_F(ModelConfig, TensorsThatDoNotFit) {
  const TensorDirectory directory = read_model_directory(test::source("demo/model"));
  const auto message_for = [&](const json& config) -> std::string {
    try {
      check_model_tensors(read(config.dump()), directory);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::model);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message_for(base_), "no error");
  EXPECT_NE(message_for(with("num_hidden_layers", 6)).find("tensor model.layers.5.input_layernorm.weight is missing"),
            std::string::npos);
  EXPECT_NE(message_for(with("vocab_size", 600)).find("has shape [512, 64], config.json implies [600, 64]"), std::string::npos);
  EXPECT_NE(message_for(with("tie_word_embeddings", false)).find("lm_head.weight is missing"), std::string::npos);
}

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

/// GPT-2 calls two layers of a block c_proj: PEFT's rule takes both, and a name for one of them is longer.
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
  for (const AdapterFactor& factor : adapter_factors(layout)) {
    const float bound = 1.0F / std::sqrt(static_cast<float>(factor.cols));
    for (std::int64_t i = 0; i < factor.rows * factor.cols; ++i) {
      const float value = params[static_cast<std::size_t>(factor.offset + i)];
      if (factor.factor == "lora_B") {
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

TEST_F(ModelConfig, PythonsInfinityIsAnErrorWhereItIsUsed) {
  base_.erase("initializer_range");
  std::string text = base_.dump();
  EXPECT_EQ(read(text.substr(0, text.size() - 1) + ",\"initializer_range\":Infinity}").hidden, 64);
  base_.erase("rms_norm_eps");
  text = base_.dump();
  EXPECT_NE(message_of(text.substr(0, text.size() - 1) + ",\"rms_norm_eps\":Infinity}")
                .find("key \"rms_norm_eps\" must be a number above 0 (got \"Infinity\")"),
            std::string::npos);
}

/// Tensors that share memory are saved once, under either name.
TEST_F(ModelConfig, ATiedEmbeddingMayStandUnderTheHeadsName) {
  TensorDirectory directory = read_model_directory(test::source("demo/model"));
  auto node = directory.tensors.extract("model.embed_tokens.weight");
  node.key() = node.mapped().name = "lm_head.weight";
  directory.tensors.insert(std::move(node));
  const ModelSpec tied = read(base_.dump());
  ASSERT_TRUE(tied.tied_head);
  EXPECT_EQ(find_tensor(tied, directory, {"model.embed_tokens.weight", {512, 64}}).name, "lm_head.weight");
  EXPECT_NO_THROW(check_model_tensors(tied, directory));
  EXPECT_TRUE(folder_warnings(tied, directory).empty());
  const ModelSpec untied = read(with("tie_word_embeddings", false).dump());
  EXPECT_THROW(check_model_tensors(untied, directory), Error);  // nothing stands for the embedding
}

TEST_F(ModelConfig, ATensorOfAnotherDTypeIsNamedWhereItIsUsed) {
  TensorDirectory directory = read_model_directory(test::source("demo/model"));
  TensorInfo unused = directory.tensors.begin()->second;
  unused.name = "extra.scale";
  unused.other_dtype = "F8_E4M3";
  directory.tensors.emplace(unused.name, unused);
  const ModelSpec spec = read(base_.dump());
  EXPECT_NO_THROW(check_model_tensors(spec, directory));
  directory.tensors.at("model.norm.weight").other_dtype = "F8_E4M3";
  directory.tensors.at("model.norm.weight").dtype = DType::u8;
  const Thrown error = thrown_by([&] { check_model_tensors(spec, directory); });
  EXPECT_NE(error.message.find("tensor model.norm.weight has dtype F8_E4M3; weights must be f32, f16 or bf16"),
            std::string::npos);
}

TEST_F(ModelConfig, AQuantizedHeadIsCalledThat) {
  TensorDirectory directory = read_model_directory(test::source("demo/model"));
  TensorInfo absmax = directory.tensors.begin()->second;
  absmax.name = "model.embed_tokens.weight.absmax";
  directory.tensors.emplace(absmax.name, absmax);
  const Thrown error = thrown_by([&] { check_model_tensors(read(base_.dump()), directory); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_NE(
      error.message.find("model.embed_tokens.weight is quantized by bitsandbytes; of embedding, head and norms the floats are "
                         "needed. Save the model again with llm_int8_skip_modules naming model.embed_tokens"),
      std::string::npos)
      << error.message;
}

}  // namespace
}  // namespace lora_dist
