// Checks a folder's tensors against config.json, and every error message.
#include "src/base/prequantized.h"

#include <gtest/gtest.h>

#include "src/core/error.h"
#include "src/model/folder_warnings.h"
#include "src/model/tensor_table.h"
#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"

namespace lora_dist::model_tensors_test {
namespace {

using nlohmann::json;

class ModelConfig : public testing::Test {
 protected:
  void SetUp() override { base_ = test::read_json(test::source("demo/model/config.json")); }

  ModelSpec read(const std::string& text) {
    folder_.write("config.json", text);
    return read_model_config(folder_.path());
  }
  json with(const std::string& key, const json& value) {
    json changed = base_;
    changed[key] = value;
    return changed;
  }

  Scratch folder_;
  json base_;
};

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
  EXPECT_THROW(check_model_tensors(untied, directory), Error);  // the embedding is missing
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
}  // namespace lora_dist::model_tensors_test
