// Which id a new token gets; folders as a whole are in tokenizer_folders_test.cpp.
#include "src/tokenizer/added_vocabulary.h"

#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

namespace lora_dist::added_vocabulary_test {
namespace {

ModelVocabulary model_of(const std::map<std::string, std::int32_t>& ids) {
  return {static_cast<std::int32_t>(ids.size()),
          [ids](std::string_view content) -> std::optional<std::int32_t> {
            const auto found = ids.find(std::string(content));
            return found == ids.end() ? std::nullopt : std::optional(found->second);
          },
          [ids](std::int32_t id) -> std::optional<std::string> {
            for (const auto& [content, other] : ids) {
              if (other == id) {
                return content;
              }
            }
            return std::nullopt;
          }};
}

std::vector<AddedToken> plain(const std::vector<std::string>& contents) {
  std::vector<AddedToken> out;
  for (const std::string& content : contents) {
    out.push_back({.id = 77, .content = content});
  }
  return out;
}

TEST(AddedVocabulary, NewTokensFollowTheLast) {
  AddedVocabulary added(model_of({{"a", 0}, {"b", 1}}));
  added.add(plain({"x", "b", "", "y"}));
  added.add(plain({"z", "x"}));
  EXPECT_EQ(added.id_of("x"), 2);
  EXPECT_EQ(added.id_of("b"), 1);
  EXPECT_EQ(added.id_of("y"), 3);
  EXPECT_EQ(added.id_of("z"), 4);
  EXPECT_EQ(added.id_of("a"), 0);
  EXPECT_FALSE(added.id_of("q"));
  EXPECT_TRUE(added.contains("b"));
  EXPECT_FALSE(added.contains("a"));
  EXPECT_EQ(added.tokens().size(), 4U);
}

TEST(AddedVocabulary, FlagsAreReplacedButSpecialStays) {
  AddedVocabulary added(model_of({{"a", 0}}));
  added.add(std::vector<AddedToken>{{.content = "x", .lstrip = true, .normalized = true, .special = true}});
  added.add(std::vector<AddedToken>{{.content = "x", .rstrip = true}});
  const AddedToken& token = added.tokens().at(0);
  EXPECT_EQ(token.id, 1);
  EXPECT_FALSE(token.lstrip);
  EXPECT_TRUE(token.rstrip);
  EXPECT_FALSE(token.normalized);
  EXPECT_TRUE(token.special);
  EXPECT_TRUE(token.shown_normalized);
}

TEST(AddedVocabulary, TheSizeCountsTokensNotIds) {
  AddedVocabulary holes(model_of({{"a", 0}, {"b", 5}}));
  holes.add(plain({"x"}));
  EXPECT_EQ(holes.id_of("x"), 2);
  AddedVocabulary taken(model_of({{"a", 0}, {"b", 2}}));
  EXPECT_THROW(taken.add(plain({"x"})), std::runtime_error);
  AddedVocabulary past(model_of({{"a", 0}, {"b", 5}}));
  past.add(plain({"b"}));
  past.add(plain({"x"}));
  EXPECT_EQ(past.id_of("x"), 6);
}

}  // namespace
}  // namespace lora_dist::added_vocabulary_test
