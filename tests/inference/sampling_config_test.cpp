// The sampling keys of generation_config.json.
#include "src/inference/sampling_config.h"

#include <gtest/gtest.h>

#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"

namespace lora_dist::sampling_config_test {
namespace {

class GenerationConfigFile : public testing::Test {
 protected:
  GenerationConfig read(const std::string& text) {
    folder_.write("generation_config.json", text);
    return read_generation_config(folder_.path(), spec_);
  }
  SamplingOptions applied(const std::string& text, const WrittenSampling& written = {}) {
    SamplingOptions options;
    apply_generation_config(read(text), written, options);
    return options;
  }
  Scratch folder_;
  ModelSpec spec_ = read_model_config(test::source("demo/model"));
};

TEST_F(GenerationConfigFile, MayBeAbsent) {
  folder_.write("config.json", R"({"eos_token_id":2})");
  SamplingOptions options;
  apply_generation_config(read_generation_config(folder_.path(), spec_), {}, options);
  EXPECT_EQ(describe_sampling(options), "");
  folder_.write("config.json", R"({"eos_token_id":2,"do_sample":true,"temperature":0.5,"repetition_penalty":1.2})");
  apply_generation_config(read_generation_config(folder_.path(), spec_), {}, options);
  EXPECT_EQ(describe_sampling(options), "temperature 0.5, top_k 50, repetition_penalty 1.2");
}

/// Unused keys are not checked.
TEST_F(GenerationConfigFile, ChecksSamplingOnlyWhereTheModelSamples) {
  EXPECT_EQ(describe_sampling(applied(R"({"top_p":2.0,"temperature":-1,"top_k":-1})")), "");
}

/// do_sample decides, and given options have precedence.
TEST_F(GenerationConfigFile, SaysHowToSample) {
  const std::string llama3 = R"({"do_sample":true,"temperature":0.6,"top_p":0.9})";
  SamplingOptions options = applied(llama3);
  EXPECT_EQ(options.temperature, 0.6);
  EXPECT_EQ(options.top_p, 0.9);
  EXPECT_EQ(options.top_k, 50);  // transformers' default while sampling
  EXPECT_EQ(describe_sampling(options), "temperature 0.6, top_p 0.9, top_k 50");
  options = applied(llama3, {.temperature = 0.0, .top_p = {}, .repetition_penalty = {}, .top_k = {}});
  EXPECT_EQ(options.temperature, 0.0);
  EXPECT_EQ(describe_sampling(options), "");
  options = applied(llama3, {.temperature = 1.5, .top_p = 0.5, .repetition_penalty = 1.2, .top_k = 0});
  EXPECT_EQ(describe_sampling(options), "temperature 1.5, top_p 0.5, repetition_penalty 1.2");
  options = applied(R"({"do_sample":true})");
  EXPECT_EQ(describe_sampling(options), "temperature 1, top_k 50");
  options = applied(R"({"do_sample":false,"temperature":0.6,"repetition_penalty":1.1})");
  EXPECT_EQ(describe_sampling(options), "repetition_penalty 1.1");
}

}  // namespace
}  // namespace lora_dist::sampling_config_test
