// The flat tables of a vocabulary, and merges as texts.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "src/tokenizer/model_lists.h"
#include "src/tokenizer/token_table.h"

namespace lora_dist::token_table_test {
namespace {

using Inserted = TokenTable::Inserted;

TEST(TokenTable, FindsWhatWasInserted) {
  TokenTable table;
  std::map<std::string, std::int32_t> expected;
  for (std::int32_t i = 0; i < 5000; ++i) {
    const std::string token = std::to_string(i * 7919 % 100003) + (i % 3 == 0 ? "x" : "");
    ASSERT_EQ(table.insert(token, 2 * i), Inserted::yes);
    expected[token] = 2 * i;
  }
  EXPECT_EQ(table.size(), 5000U);
  EXPECT_EQ(table.largest_id(), 9998);
  for (const auto& [token, id] : expected) {
    EXPECT_EQ(table.id_of(token), id);
    EXPECT_EQ(table.text_of(id), token);
    EXPECT_EQ(table.text_of(id + 1), std::nullopt);
  }
  EXPECT_EQ(table.id_of("absent"), std::nullopt);
  EXPECT_EQ(table.text_of(-1), std::nullopt);
  EXPECT_EQ(TokenTable().id_of("a"), std::nullopt);
}

TEST(TokenTable, KnownTokensAndIds) {
  TokenTable table;
  EXPECT_EQ(table.insert("a", 1), Inserted::yes);
  EXPECT_EQ(table.insert("a", 2), Inserted::token_known);
  EXPECT_EQ(table.insert("b", 1), Inserted::id_known);
  EXPECT_EQ(table.insert("", 0), Inserted::yes);
  EXPECT_EQ(table.id_of(""), 0);
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(table.assign("a", 3), Inserted::yes);
  EXPECT_EQ(table.id_of("a"), 3);
  EXPECT_EQ(table.text_of(1), std::nullopt);
  EXPECT_EQ(table.assign("a", 0), Inserted::id_known);
  table.add_other_id("a", 1);
  EXPECT_EQ(table.text_of(1), "a");
  EXPECT_EQ(table.id_of("a"), 3);
}

TEST(TokenTable, HashesAskedForAhead) {
  TokenTable table;
  table.insert("token", 4);
  const std::uint32_t hash = TokenTable::hash_of("token");
  table.expect_slot(hash);
  table.expect_text(hash);
  EXPECT_EQ(table.id_of("token", hash), 4);
}

TEST(MergeTexts, PairsStandOneBehindTheOther) {
  MergeTexts merges;
  merges.add("a", "bc");
  merges.add("", "d");
  EXPECT_EQ(merges.size(), 2U);
  EXPECT_EQ(merges.left(0), "a");
  EXPECT_EQ(merges.right(0), "bc");
  EXPECT_EQ(merges.both(0), "abc");
  EXPECT_EQ(merges.left(1), "");
  EXPECT_EQ(merges.both(1), "d");
}

}  // namespace
}  // namespace lora_dist::token_table_test
