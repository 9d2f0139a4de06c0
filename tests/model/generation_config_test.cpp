// generation_config.json: used keys, and every message.
#include "src/model/generation_config.h"

#include <gmock/gmock.h>

#include <optional>

#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"

namespace lora_dist::generation_config_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class GenerationConfigFile : public testing::Test {
 protected:
  GenerationConfig read(const std::string& text) {
    folder_.write("generation_config.json", text);
    return read_generation_config(folder_.path(), spec_);
  }
  std::string message_of(const std::string& text) {
    const Thrown error = thrown_by([&] { read(text); });
    EXPECT_EQ(error.code, ExitCode::model);
    EXPECT_THAT(error.message, HasSubstr("generation_config.json: "));
    return error.message;
  }
  Scratch folder_;
  ModelSpec spec_ = read_model_config(test::source("demo/model"));
};

/// transformers then takes the keys of config.json, but for the tokens that end a text: the model knows them from there.
TEST_F(GenerationConfigFile, MayBeAbsent) {
  folder_.write("config.json", R"({"eos_token_id":2,"do_sample":true,"temperature":0.5,"num_beams":2})");
  const GenerationConfig config = read_generation_config(folder_.path(), spec_);
  EXPECT_EQ(config.file, "config.json");
  EXPECT_THAT(config.eos_ids, IsEmpty());
  EXPECT_EQ(config.temperature, 0.5);
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("config.json: num_beams is not used when text is generated")));
}

TEST_F(GenerationConfigFile, NamesTheTokensThatEndAText) {
  EXPECT_THAT(read(R"({"eos_token_id":298})").eos_ids, ElementsAre(298));
  EXPECT_THAT(read(R"({"eos_token_id":[2,298]})").eos_ids, ElementsAre(2, 298));
  EXPECT_THAT(read(R"({"eos_token_id":null})").eos_ids, IsEmpty());
  const GenerationConfig config = read(R"({"eos_token_id":[2,512]})");
  EXPECT_THAT(config.eos_ids, ElementsAre(2));
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("eos_token_id 512 lies outside the vocabulary of 512 and is ignored")));
  EXPECT_THAT(message_of(R"({"eos_token_id":"</s>"})"),
              HasSubstr("key \"eos_token_id\" must be an integer or a list of integers"));
}

TEST_F(GenerationConfigFile, NamesKeysThatAreNotBuilt) {
  EXPECT_THAT(read(R"({"num_beams":1,"typical_p":1.0,"min_p":null,"early_stopping":false,"max_length":20})").warnings, IsEmpty());
  EXPECT_THAT(read(R"({"do_sample":true,"min_p":0.0,"guidance_scale":1,"min_new_tokens":0,"bad_words_ids":[]})").warnings,
              IsEmpty());
  EXPECT_THAT(read(R"({"min_p":0.1,"typical_p":0.9})").warnings, IsEmpty());  // greedy decoding
  EXPECT_THAT(
      read(R"({"num_beams":4,"no_repeat_ngram_size":3})").warnings,
      ElementsAre(HasSubstr("generation_config.json: num_beams, no_repeat_ngram_size are not used when text is generated")));
  EXPECT_THAT(read(R"({"do_sample":true,"min_p":0.1})").warnings, ElementsAre(HasSubstr("min_p is not used")));
  EXPECT_THAT(read(R"({"stop_strings":["x"]})").warnings, ElementsAre(HasSubstr("stop_strings is not used")));
}

TEST_F(GenerationConfigFile, Messages) {
  EXPECT_THAT(message_of("[]"), HasSubstr("must hold a JSON object"));
  EXPECT_THAT(message_of(R"({"do_sample":1})"), HasSubstr("key \"do_sample\" must be true or false"));
  EXPECT_THAT(message_of(R"({"do_sample":true,"temperature":-1})"), HasSubstr("key \"temperature\" must be a number above 0"));
  EXPECT_THAT(message_of(R"({"do_sample":true,"top_p":1.5})"), HasSubstr("key \"top_p\" must be at most 1"));
  EXPECT_THAT(message_of(R"({"do_sample":true,"top_k":-1})"), HasSubstr("key \"top_k\" must be from 0 to"));
  EXPECT_THAT(message_of(R"({"repetition_penalty":0})"), HasSubstr("key \"repetition_penalty\" must be a number above 0"));
}

}  // namespace
}  // namespace lora_dist::generation_config_test
