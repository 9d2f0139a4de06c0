// Unigram models and tables of characters in tokenizer.json: malformed parts, and what the goldens do not reach.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "src/core/error.h"
#include "src/tokenizer/byte_trie.h"
#include "src/tokenizer/charsmap.h"
#include "src/tokenizer/tokenizer.h"
#include "tests/support/scratch.h"

namespace lora_dist::unigram_test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

json document_with(const json& model) { return {{"added_tokens", json::array()}, {"model", model}}; }

json small_model() {
  const auto piece = [](const char* text, const json& score) { return json::array({text, score}); };
  return {{"type", "Unigram"},
          {"unk_id", 0},
          {"vocab", json::array({piece("<unk>", 0.0), piece("a", -1.0), piece("ab", -1.5), piece("b", -2)})}};
}

std::string error_of(const std::string& text) {
  const Scratch folder;
  folder.write("tokenizer.json", text);
  const Thrown thrown = thrown_by([&] { open_tokenizer(folder.path()); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, HasSubstr("tokenizer.json"));
  return thrown.message;
}

std::string error_of_model(const char* key, const json& value) {
  json model = small_model();
  model[key] = value;
  return error_of(document_with(model).dump());
}

TEST(Unigram, MalformedModels) {
  EXPECT_THAT(error_of_model("vocab", json::array()), HasSubstr("model.vocab must be a list of pieces and their scores"));
  EXPECT_THAT(error_of_model("vocab", {{"a", 1}}), HasSubstr("model.vocab must be a list of pieces and their scores"));
  EXPECT_THAT(error_of_model("vocab", 3), HasSubstr("model.vocab must be a list of pieces"));
  for (const char* wrong : {R"(["a"])", R"(["a", "b"])", R"([1.0, "a"])", R"(["a", -1.0, 2.0])", R"(["a", [1]])",
                            R"(["a", null])", R"("a")", "null", "{}", "[]"}) {
    EXPECT_THAT(error_of_model("vocab", json::parse(R"([["<unk>", 0.0], )" + std::string(wrong) + "]")),
                HasSubstr("model.vocab[1] must be a list of a piece and its score, a finite number"))
        << wrong;
  }
  EXPECT_THAT(error_of_model("unk_id", 4), HasSubstr("model.unk_id must be a whole number from 0 to 3"));
  EXPECT_THAT(error_of_model("unk_id", "a"), HasSubstr("model.unk_id must be a whole number from 0 to 3"));
  EXPECT_THAT(error_of_model("byte_fallback", 1), HasSubstr("model.byte_fallback must be true or false"));
}

TEST(Unigram, ScoresThatAreNoNumbers) {
  for (const char* score : {"NaN", "Infinity", "-Infinity"}) {
    EXPECT_THAT(error_of(std::string(R"({"model": {"type": "Unigram", "vocab": [["a", )") + score + "]]}}"),
                HasSubstr("model.vocab[0] must be a list of a piece and its score, a finite number"));
  }
  EXPECT_THAT(error_of(R"({"model": {"type": "Unigram", "vocab": [["a", 1e999]]}})"), HasSubstr("is not valid JSON"));
}

TEST(Unigram, AnUnknownCharacterWithoutUnk) {
  json model = small_model();
  model["unk_id"] = nullptr;
  const Scratch folder;
  folder.write("tokenizer.json", document_with(model).dump());
  const Tokenizer tokenizer = open_tokenizer(folder.path());
  EXPECT_THAT(encode(tokenizer, "abb", false), ElementsAre(2, 3));
  const Thrown thrown = thrown_by([&] { encode(tokenizer, "abx", false); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, HasSubstr("no piece of the tokenizer's Unigram model, which has no unk_id"));
}

TEST(Unigram, AClassThatMakesBpeRefusesIt) {
  const Scratch folder;
  folder.write("tokenizer.json", document_with(small_model()).dump());
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer"})");
  const Thrown thrown = thrown_by([&] { open_tokenizer(folder.path()); });
  EXPECT_THAT(thrown.message, HasSubstr("tokenizer.json: model is Unigram, and GPT2Tokenizer of transformers 5 makes BPE of it"));
}

std::string error_of_charsmap(const json& text) {
  json document = document_with(small_model());
  document["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", text}};
  return error_of(document.dump());
}

std::string units(std::initializer_list<std::uint32_t> numbers) {
  std::string out;
  for (const std::uint32_t number : numbers) {
    for (int shift = 0; shift < 32; shift += 8) {
      out.push_back(static_cast<char>(number >> shift & 0xFFU));
    }
  }
  return out;
}

/// A table of 256 units of which some are given, and texts.
std::string table(const std::vector<std::pair<std::size_t, std::uint32_t>>& given, const std::string& texts) {
  std::string out = units({1024}) + std::string(1024, '\0');
  for (const auto& [at, unit] : given) {
    out.replace(4 + 4 * at, 4, units({unit}));
  }
  return out + texts;
}

std::string error_of_table(const std::string& bytes) {
  try {
    read_charsmap(bytes);
  } catch (const CharsmapError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Charsmap, MalformedFields) {
  EXPECT_THAT(error_of_charsmap(nullptr), HasSubstr("normalizer.precompiled_charsmap is missing"));
  EXPECT_THAT(error_of_charsmap(3), HasSubstr("normalizer.precompiled_charsmap must be a string"));
  EXPECT_THAT(error_of_charsmap(""), HasSubstr("normalizer.precompiled_charsmap is cut short; take the file from"));
  EXPECT_THAT(error_of_charsmap("AAA"), HasSubstr("normalizer.precompiled_charsmap is not base64"));
  EXPECT_THAT(error_of_charsmap("A==="), HasSubstr("normalizer.precompiled_charsmap is not base64"));
  EXPECT_THAT(error_of_charsmap("AA*A"), HasSubstr("normalizer.precompiled_charsmap is not base64"));
  EXPECT_THAT(error_of_charsmap("AAAAAA=="), HasSubstr("normalizer.precompiled_charsmap has no entries"));
  EXPECT_THAT(error_of_charsmap("AAQAAAAA"), HasSubstr("normalizer.precompiled_charsmap is cut short"));
  EXPECT_EQ(from_base64("aGVsbG8="), "hello");
  EXPECT_EQ(from_base64("/+8="), "\xFF\xEF");
}

TEST(Charsmap, LyingTables) {
  // The root leads to units 1 ^ byte; "a" there has a value at the unit where its own offset leads.
  constexpr std::uint32_t kRoot = 1U << 10, kA = 'a' | 1U << 8 | 2U << 10;
  const std::size_t a = 1 ^ 'a', value = a ^ 2;
  EXPECT_EQ(error_of_table(table({{0, kRoot}, {a, kA}, {value, 1U << 31}}, std::string("x\0", 2))), "no error");
  EXPECT_EQ(error_of_table(table({{0, kRoot}, {a, kA}, {value, 1U << 31 | 3}}, std::string("x\0", 2))),
            "has an entry that points to no text");
  EXPECT_EQ(error_of_table(table({{0, kRoot}, {a, kA}, {value, 1U << 31 | 1}}, "\xC3\xA9")),
            "has an entry that points to no text");
  EXPECT_EQ(error_of_table(table({{0, kRoot}, {a, kA}}, "\xFF")), "has replacements that are not UTF-8");
  EXPECT_EQ(error_of_table(table({{0, 1U << 20}}, "")), "has an entry that points beyond its end");
  EXPECT_EQ(error_of_table(table({{0, kRoot}, {a, 'a' | 1U << 30}}, "")), "has an entry that points beyond its end");
  EXPECT_EQ(error_of_table(table({{0, kRoot}}, "").substr(0, 1000)), "is cut short");
  EXPECT_EQ(error_of_table(units({5, 0, 0})), "is cut short");
  // A loop: "a" leads back to the units of the root. Each unit is looked at once.
  EXPECT_EQ(error_of_table(table({{0, kRoot}, {a, 'a' | static_cast<std::uint32_t>(a ^ 1) << 10}}, "")), "no error");
  const auto map = read_charsmap(table({{0, kRoot}, {a, kA}, {value, 1U << 31}}, std::string("x\0", 2)));
  EXPECT_EQ(apply_charsmap(*map, "banana"), "bxnxnx");
}

TEST(ByteTrie, FindsAllStringsThatBeginAText) {
  const ByteTrie trie({{"ab", 1}, {"a", 0}, {"abc", 2}, {"", 3}, {"ab", 4}, {"\xFF", 5}});
  std::vector<std::pair<std::size_t, std::int32_t>> found;
  const auto all = [&](std::string_view text) {
    found.clear();
    trie.for_each_prefix(text, [&](std::size_t length, std::int32_t number) { found.emplace_back(length, number); });
    return found;
  };
  EXPECT_THAT(all("abd"), ElementsAre(std::pair(1U, 0), std::pair(2U, 1)));
  EXPECT_THAT(all("abcd"), ElementsAre(std::pair(1U, 0), std::pair(2U, 1), std::pair(3U, 2)));
  EXPECT_THAT(all("\xFF"), ElementsAre(std::pair(1U, 5)));
  EXPECT_THAT(all("b"), ElementsAre());
  EXPECT_THAT(all(""), ElementsAre());
}

}  // namespace
}  // namespace lora_dist::unigram_test
