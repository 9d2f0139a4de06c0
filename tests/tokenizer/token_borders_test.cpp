// The byte ranges of tokens. tests/data/chat_samples_test.cpp compares whole samples with transformers.
#include "src/tokenizer/token_borders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::token_borders_test {
namespace {

using nlohmann::json;
using testing::ElementsAre;

/// "id:text" per token, the text being the bytes of its range.
std::vector<std::string> shown(const Tokenizer& tokenizer, const std::string& text) {
  const TokenBorders borders = encode_with_borders(tokenizer, text);
  EXPECT_EQ(borders.ids, encode(tokenizer, text, false));
  EXPECT_EQ(borders.ids.size(), borders.ranges.size());
  std::vector<std::string> out;
  std::size_t last = 0;
  for (const Range& range : borders.ranges) {
    EXPECT_LE(last, range.begin);
    EXPECT_LE(range.begin, range.end);
    EXPECT_LE(range.end, text.size());
    last = range.begin;
    out.push_back(text.substr(range.begin, range.end - range.begin));
  }
  return out;
}

json demo_document() { return json::parse(get_file(demo_model() / "tokenizer.json")); }

Tokenizer open(const json& document) {
  const Scratch folder;
  folder.write("tokenizer.json", document.dump());
  return open_tokenizer(folder.path());
}

TEST(TokenBorders, DummySpacesStandForNothing) {
  const Tokenizer tokenizer = open_tokenizer(demo_model());
  EXPECT_THAT(shown(tokenizer, "the</s> the\n"), ElementsAre("the", "</s>", " the", "\n"));
  EXPECT_THAT(shown(tokenizer, "\n"), ElementsAre("", "\n"));
  EXPECT_THAT(shown(tokenizer, ""), ElementsAre());
}

TEST(TokenBorders, BytesOfACharacter) {
  const Tokenizer tokenizer = open_tokenizer(demo_model());
  EXPECT_THAT(shown(tokenizer, "</s>☕"), ElementsAre("</s>", "", "\xE2", "\x98", "\x95"));
  EXPECT_THAT(shown(tokenizer, "▁☕"), ElementsAre("▁", "\xE2", "\x98", "\x95"));
}

TEST(TokenBorders, NormalizedCharactersShareTheirBytes) {
  json document = demo_document();
  document["normalizer"] = {{"type", "NFC"}};
  const std::string syllable = "\u1112\u1161\u11ab";  // three characters that become one of three byte tokens
  EXPECT_THAT(shown(open(document), "</s>" + syllable + "☕"),
              ElementsAre("</s>", "", syllable, syllable, syllable, "\xE2", "\x98", "\x95"));
  std::string run;  // too long to be looked at character by character
  for (int i = 0; i < 2000; ++i) {
    run += "☕";
  }
  const std::vector<std::string> ends = shown(open(document), "</s>" + run + syllable + run);
  EXPECT_EQ(ends[1 + 1 + 3 * 2000], syllable);
  EXPECT_EQ(ends.back(), "\x95");
  document["normalizer"] = {{"type", "Lowercase"}};
  EXPECT_THAT(shown(open(document), "THE"), ElementsAre("THE"));
  document["normalizer"] = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}};
  EXPECT_THAT(shown(open(document), "  the  "), ElementsAre("the"));
}

TEST(TokenBorders, UnknownCharactersReachToTheNextToken) {
  json document = demo_document();
  document["model"]["byte_fallback"] = false;
  document["model"]["fuse_unk"] = true;
  document["model"]["unk_token"] = "<unk>";
  EXPECT_THAT(shown(open(document), "the☕☕ the"), ElementsAre("the", "☕☕", " the"));
  EXPECT_THAT(shown(open(document), "the☕"), ElementsAre("the", "☕"));
}

TEST(TokenBorders, TokensThatTakeWhiteSpaceAlong) {
  json document = demo_document();
  document["added_tokens"].push_back(
      {{"id", 512}, {"content", "<m>"}, {"special", true}, {"normalized", false}, {"lstrip", true}, {"rstrip", true}});
  EXPECT_THAT(shown(open(document), "the <m>\n the"), ElementsAre("the", " <m>\n ", "the"));
}

TEST(TokenBorders, SentencePiece) {
  for (const bool legacy : {true, false}) {
    const Scratch folder;
    std::filesystem::copy(demo_model() / "tokenizer.model", folder.path());
    folder.write("tokenizer_config.json", json{{"tokenizer_class", "LlamaTokenizer"}, {"legacy", legacy}}.dump());
    const Tokenizer tokenizer = open_tokenizer(folder.path());
    EXPECT_THAT(shown(tokenizer, "the</s> the"), ElementsAre("the", "</s>", " the"));
  }
}

TEST(TokenBorders, SpecialIds) {
  Tokenizer tokenizer = open_tokenizer(demo_model());
  EXPECT_TRUE(is_special_id(tokenizer, 1));
  EXPECT_FALSE(is_special_id(tokenizer, 400));
  tokenizer.eos = 400;
  EXPECT_TRUE(is_special_id(tokenizer, 400));
}

}  // namespace
}  // namespace lora_dist::token_borders_test
