// config.json: both forms, and every message.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "src/core/error.h"
#include "src/model/family.h"
#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"

namespace lora_dist::model_config_test {
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
  expect(with("model_type", "bert"), "model_type \"bert\" is not supported (" + known_families() + " are)");
  expect(with("hidden_size", nullptr), "key \"hidden_size\" is missing");
  expect(with("hidden_size", 0), "key \"hidden_size\" must be from 1 to");
  expect(with("vocab_size", 18446744073709551615ULL), "key \"vocab_size\" must be from 1 to");
  expect(with("hidden_size", "64"), "key \"hidden_size\" must be an integer (got \"64\")");
  expect(with("num_key_value_heads", 3), "must be a multiple of num_key_value_heads (3)");
  expect(with("head_dim", 7), "head_dim (7) must be even");
  expect(with("hidden_act", "relu"),
         "hidden_act \"relu\" is not supported (silu, gelu, gelu_new, gelu_pytorch_tanh and relu2 are)");
  expect(with("rms_norm_eps", -1.0), "key \"rms_norm_eps\" must be a number above 0");
  expect(with("tie_word_embeddings", "yes"), "key \"tie_word_embeddings\" must be true or false");
  expect(with("rope_parameters", {{"rope_type", "axial"}}), "rope type \"axial\" is not supported");
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

}  // namespace
}  // namespace lora_dist::model_config_test
