// Damaged, inconsistent or unsupported tokenizer files: an error naming the file, exit code 4.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "src/core/error.h"
#include "src/tokenizer/tokenizer.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::tokenizer_errors_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string error_of(const std::filesystem::path& folder) {
  try {
    open_tokenizer(folder);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::model);
    return e.what();
  }
  return "no error";
}

std::string error_of_json(const std::string& content) {
  const Scratch folder;
  folder.write("tokenizer.json", content);
  return error_of(folder.path());
}

std::string error_of_edit(const std::function<void(json&)>& edit) {
  json document = json::parse(std::ifstream(demo_model() / "tokenizer.json"));
  edit(document);
  return error_of_json(document.dump());
}

TEST(TokenizerErrors, NoTokenizer) {
  EXPECT_THAT(error_of(Scratch().path()), HasSubstr("has no tokenizer.json and no tokenizer.model"));
}

TEST(TokenizerErrors, OtherKindsAreRefusedByName) {
  const auto pre = [](json step) { return error_of_edit([&](json& d) { d["pre_tokenizer"] = step; }); };
  EXPECT_THAT(pre({{"type", "Sequence"}, {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "ByteLevel"}}}}}),
              HasSubstr("tokenizer.json: pre_tokenizer ByteLevel twice is not supported yet"));
  EXPECT_THAT(pre({{"type", "UnicodeScripts"}}), HasSubstr("pre_tokenizer UnicodeScripts is not supported yet"));
  for (const char* type : {"WordPiece", "WordLevel"}) {
    EXPECT_THAT(error_of_edit([&](json& d) { d["model"]["type"] = type; }),
                HasSubstr(std::string("tokenizer.json: model ") + type + " is not supported yet"));
  }
  EXPECT_THAT(error_of_edit([](json& d) {
                d["normalizer"] = {{"type", "BertNormalizer"}};
              }),
              HasSubstr("normalizer BertNormalizer is not supported yet"));
  EXPECT_THAT(error_of_edit([](json& d) {
                d["decoder"] = {{"type", "WordPiece"}};
              }),
              HasSubstr("decoder WordPiece is not supported yet"));
  EXPECT_THAT(error_of_edit([](json& d) {
                d["post_processor"] = {{"type", "Other"}};
              }),
              HasSubstr("post_processor Other is not supported yet"));
  EXPECT_THAT(error_of_edit([](json& d) { d["model"]["dropout"] = 0.1; }), HasSubstr("model dropout is not supported yet"));
  EXPECT_THAT(error_of_edit([](json& d) {
                d["model"] = {{"type", "BPE"}, {"vocab", json::array({json::array({"a", -1.0})})}, {"merges", json::array()}};
              }),
              HasSubstr("model.vocab is a list, as in Unigram models, and the model's type is BPE"));
}

TEST(TokenizerErrors, MalformedJson) {
  EXPECT_THAT(error_of_json(""), HasSubstr("tokenizer.json"));
  EXPECT_THAT(error_of_json("{\"model\": "), HasSubstr("is not valid JSON"));
  EXPECT_THAT(error_of_json("[]"), HasSubstr("tokenizer.json: must be an object"));
  EXPECT_THAT(error_of_json("{}"), HasSubstr("has no model"));
  EXPECT_THAT(error_of_json(R"({"model": 3})"), HasSubstr("model must be an object"));
  EXPECT_THAT(error_of_json(R"({"model": {"type": "BPE", "vocab": {}, "merges": []}})"),
              HasSubstr("model.vocab must be an object"));
  EXPECT_THAT(error_of_edit([](json& d) { d["model"]["vocab"]["the"] = "x"; }), HasSubstr("model.vocab must be a whole number"));
  EXPECT_THAT(error_of_edit([](json& d) { d["model"]["vocab"]["zzz"] = 4000000000U; }),
              HasSubstr("must be a whole number from 0"));
  EXPECT_THAT(error_of_edit([](json& d) { d["model"]["vocab"]["zzz"] = -1; }), HasSubstr("must be a whole number from 0"));
  EXPECT_THAT(error_of_edit([](json& d) { d["model"]["vocab"]["zzz"] = 5; }), HasSubstr("gives the id 5 to two tokens"));
  EXPECT_THAT(error_of_edit([](json& d) { d["model"]["merges"] = "x"; }), HasSubstr("model.merges must be a list"));
  EXPECT_THAT(error_of_edit([](json& d) {
                d["model"]["merges"][2] = {"zz", "y"};
              }),
              HasSubstr("model.merges[2] uses a token that is not in the vocabulary"));
  EXPECT_THAT(error_of_edit([](json& d) { d["model"]["merges"][2] = "a b c"; }), HasSubstr("model.merges[2] is neither"));
  EXPECT_THAT(error_of_edit([](json& d) { d["model"]["unk_token"] = "zzz"; }),
              HasSubstr("model.unk_token is not in the vocabulary"));
  EXPECT_THAT(error_of_edit([](json& d) { d["model"]["byte_fallback"] = "yes"; }),
              HasSubstr("model.byte_fallback must be true or false"));
}

TEST(TokenizerErrors, MalformedSteps) {
  const auto pre = [](json step) { return error_of_edit([&](json& d) { d["pre_tokenizer"] = step; }); };
  EXPECT_THAT(pre({{"type", "Metaspace"}}), HasSubstr("pre_tokenizer.replacement is missing"));
  EXPECT_THAT(pre({{"type", "Metaspace"}, {"replacement", "ab"}}), HasSubstr("replacement must be one character"));
  EXPECT_THAT(pre({{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "often"}}),
              HasSubstr("prepend_scheme must be always, first or never"));
  EXPECT_THAT(pre({{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}, {"add_prefix_space", false}}),
              HasSubstr("says add_prefix_space = false"));
  EXPECT_THAT(pre({{"type", "Sequence"}, {"pretokenizers", 1}}), HasSubstr("pretokenizers must be a list"));
  EXPECT_THAT(pre({{"kind", "x"}}), HasSubstr("pre_tokenizer.type is missing"));
  EXPECT_THAT(error_of_edit([](json& d) {
                d["decoder"] = {{"type", "Strip"}, {"content", ""}, {"start", 1}, {"stop", 0}};
              }),
              HasSubstr("decoder.content must not be empty"));
  EXPECT_THAT(error_of_edit([](json& d) {
                d["decoder"] = {{"type", "Strip"}, {"content", " "}, {"start", -1}, {"stop", 0}};
              }),
              HasSubstr("decoder.start must be a whole number"));
  EXPECT_THAT(error_of_edit([](json& d) {
                d["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", " "}};
              }),
              HasSubstr("normalizer.pattern.String must not be empty"));
  EXPECT_THAT(error_of_edit([](json& d) { d["added_tokens"] = 1; }), HasSubstr("added_tokens must be a list"));
  EXPECT_THAT(error_of_edit([](json& d) { d["added_tokens"][0].erase("content"); }),
              HasSubstr("added_tokens[0].content is missing"));
  EXPECT_THAT(error_of_edit([](json& d) { d["post_processor"]["single"] = json::array(); }),
              HasSubstr("must hold the text exactly once"));
  EXPECT_THAT(error_of_edit([](json& d) { d["post_processor"]["special_tokens"]["<s>"]["ids"] = {700}; }),
              HasSubstr("puts in the id 700, which is no token"));
  EXPECT_THAT(error_of_edit([](json& d) { d["post_processor"]["special_tokens"]["<s>"].erase("ids"); }),
              HasSubstr("has no ids for <s>"));
  EXPECT_THAT(error_of_edit([](json& d) { d["post_processor"]["single"] = 1; }), HasSubstr("single must be a list"));
}

TEST(TokenizerErrors, Patterns) {
  const auto split = [](const std::string& pattern) {
    return error_of_edit([&](json& d) {
      d["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
    });
  };
  EXPECT_THAT(split("(a"), HasSubstr("pre_tokenizer.pattern.Regex is not a regular expression that PCRE2 understands"));
  for (const char* pattern : {"(?<=a+)b", "(?<!a*b)c", "(?<=\\X)a"}) {
    EXPECT_THAT(split(pattern), HasSubstr("pattern.Regex has a lookbehind of no fixed length ((?<=a+)), which is not supported"));
  }
  EXPECT_THAT(split("[a&&b]"), HasSubstr("pattern.Regex combines sets"));
  EXPECT_THAT(split("[a[b]]"), HasSubstr("pattern.Regex combines sets"));
  EXPECT_THAT(split("[\\W]"), HasSubstr("has \\W within a set"));
  EXPECT_THAT(split("a{2}+"), HasSubstr("has a + after an interval"));
  EXPECT_THAT(error_of_edit([](json& d) {
                d["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "Other"}};
              }),
              HasSubstr("pre_tokenizer.behavior must be Removed, Isolated"));
  EXPECT_THAT(error_of_edit([](json& d) {
                d["post_processor"] = {{"type", "BertProcessing"}, {"cls", 1}, {"sep", {"</s>", 2}}};
              }),
              HasSubstr("post_processor.cls must be a list of a token and its id"));
  EXPECT_THAT(error_of_edit([](json& d) { d["model"]["continuing_subword_prefix"] = "##"; }),
              HasSubstr("has a right part without the continuing_subword_prefix"));
}

TEST(TokenizerErrors, APatternThatTakesTooLong) {
  json document = json::parse(std::ifstream(demo_model() / "tokenizer.json"));
  document["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a|aa)+$"}}}, {"behavior", "Isolated"}};
  const Scratch folder;
  folder.write("tokenizer.json", document.dump());
  const Tokenizer tokenizer = open_tokenizer(folder.path());
  const Thrown thrown = thrown_by([&] { encode(tokenizer, std::string(60, 'a') + 'b', false); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, HasSubstr("a regular expression of the tokenizer takes too long on a text of"));
}

TEST(TokenizerErrors, VocabularyAndMerges) {
  const Scratch folder;
  folder.write("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  folder.write("merges.txt", "#version: 0.2\na b\n");
  EXPECT_EQ(error_of(folder.path()), "no error");
  folder.write("merges.txt", "a b c\n");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("merges.txt: line "));
  folder.write("merges.txt", "a b\n");
  folder.write("vocab.json", "[]");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("vocab.json: model.vocab"));
  folder.write("vocab.json", "{");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("vocab.json is not valid JSON"));
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizer"})");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("how RobertaTokenizer cuts text is not known"));
}

TEST(TokenizerErrors, TokenizerModel) {
  const Scratch folder;
  folder.write("tokenizer.model", "this is not a protobuf message of sentencepiece");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("tokenizer.model is not a sentencepiece model"));
  folder.write("tokenizer.model", "");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("tokenizer.model is not a sentencepiece model"));
  folder.write("tokenizer.model", "IQ== 0\nIg== 1\n");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("tokenizer.model is a list of tokens for tiktoken"));
  std::ifstream whole(demo_model() / "tokenizer.model", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(whole)), {});
  folder.write("tokenizer.model", bytes.substr(0, bytes.size() / 2));
  EXPECT_THAT(error_of(folder.path()), HasSubstr("tokenizer.model is not a sentencepiece model"));
}

TEST(TokenizerErrors, Configuration) {
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.json", folder / "tokenizer.json");
  const auto with = [&](const std::string& config) {
    folder.write("tokenizer_config.json", config);
    return error_of(folder.path());
  };
  EXPECT_THAT(with("{"), HasSubstr("tokenizer_config.json is not valid JSON"));
  EXPECT_THAT(with(R"({"eos_token": 3})"), HasSubstr("eos_token must be a string or an object with content"));
  EXPECT_THAT(with(R"({"eos_token": {"a": 1}})"), HasSubstr("eos_token.content is missing"));
  EXPECT_THAT(with(R"({"add_bos_token": "yes"})"), HasSubstr("add_bos_token must be true or false"));
  EXPECT_THAT(with(R"({"added_tokens_decoder": 3})"), HasSubstr("added_tokens_decoder must be an object"));
  EXPECT_THAT(with(R"({"added_tokens_decoder": {"x": {"content": "a"}}})"),
              HasSubstr("has the key \"x\", which is not a token id"));
  EXPECT_THAT(with(R"({"added_tokens_decoder": {"99999999999": {"content": "a"}}})"), HasSubstr("which is not a token id"));
}

TEST(TokenizerErrors, ListsOfTokens) {
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.json", folder / "tokenizer.json");
  const auto with = [&](const std::string& name, const std::string& content) {
    folder.write(name, content);
    const std::string error = error_of(folder.path());
    std::filesystem::remove(folder / name);
    return error;
  };
  EXPECT_THAT(with("added_tokens.json", "[]"), HasSubstr("added_tokens.json: must be an object"));
  EXPECT_THAT(with("added_tokens.json", R"({"<x>": "512"})"),
              HasSubstr("added_tokens.json: \"<x>\" must be a whole number from 0"));
  EXPECT_THAT(with("special_tokens_map.json", R"({"pad_token": 3})"),
              HasSubstr("special_tokens_map.json: pad_token must be a string"));
  EXPECT_THAT(with("tokenizer_config.json", R"({"additional_special_tokens": "x"})"),
              HasSubstr("additional_special_tokens must be a list of tokens, or an object of named ones"));
  EXPECT_THAT(with("tokenizer_config.json", R"({"extra_special_tokens": [3]})"),
              HasSubstr("extra_special_tokens must be a string or an object with content"));
  EXPECT_THAT(with("tokenizer_config.json", R"({"tokenizer_class": 3})"), HasSubstr("tokenizer_class must be a string"));
  EXPECT_THAT(with("tokenizer_config.json", R"({"split_special_tokens": 3})"),
              HasSubstr("split_special_tokens must be true or false"));
}

TEST(TokenizerErrors, OneIdForTwoTokens) {
  const auto token = [](const char* content, int id) {
    return json{{"content", content}, {"id", id}, {"special", true}, {"normalized", false}};
  };
  EXPECT_THAT(error_of_edit([&](json& d) { d["added_tokens"].push_back(token("<x>", 410)); }),
              HasSubstr("added_tokens of tokenizer.json gives the token <x> the id 410, which is that of \xE2\x96\x81 in "
                        "tokenizer.json; give each token an id of its own"));
  EXPECT_THAT(error_of_edit([&](json& d) {
                d["added_tokens"].push_back(token("<x>", 512));
                d["added_tokens"].push_back(token("<y>", 512));
              }),
              HasSubstr("gives the token <y> the id 512, which is that of <x> in added_tokens of tokenizer.json"));
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.model", folder / "tokenizer.model");
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer"})");
  folder.write("added_tokens.json", R"({"<x>": 512, "<y>": 512})");
  EXPECT_THAT(error_of(folder.path()),
              HasSubstr("added_tokens.json gives the token <y> the id 512, which is that of <x> in added_tokens.json"));
  folder.write("added_tokens.json", R"({"[PAD]": 5})");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("added_tokens.json gives the token [PAD] the id 5, which is that of <0x02> in "
                                                 "tokenizer.model"));
}

TEST(TokenizerErrors, AVocabularyWithHolesLeavesNoIdForANewToken) {
  const Scratch folder;
  folder.write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 2}, "merges": []}})");
  folder.write("tokenizer_config.json", R"({"pad_token": "[PAD]"})");
  EXPECT_THAT(error_of(folder.path()), HasSubstr("tokenizer.json: the token [PAD] would get the id 2, which is that of b: the "
                                                 "vocabulary leaves out ids below it"));
}

}  // namespace
}  // namespace lora_dist::tokenizer_errors_test
