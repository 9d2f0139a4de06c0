// Call arguments given as JSON text.
#include "src/data/quoted_arguments.h"

#include <gtest/gtest.h>

namespace lora_dist::quoted_arguments_test {
namespace {

using json = nlohmann::ordered_json;

Conversation calling_with(const json& arguments) {
  const json call = {{"type", "function"}, {"function", {{"name", "dose"}, {"arguments", arguments}}}};
  return {json::array({{{"role", "assistant"}, {"tool_calls", json::array({call})}}})};
}

TEST(QuotedArguments, AreJsonPrintedOnceMoreInQuotes) {
  const Conversation conversation = calling_with(R"({"drug": "X"})");
  EXPECT_TRUE(prints_quoted_arguments(conversation, R"([{"name": "dose", "arguments": "{\"drug\": \"X\"}"}])"));
  EXPECT_FALSE(prints_quoted_arguments(conversation, R"([{"name": "dose", "arguments": {"drug": "X"}}])"));  // as it stands
}

TEST(QuotedArguments, InBothSpellingsOfLettersBeyondAscii) {
  const Conversation conversation = calling_with("{\"약\": 1}");
  EXPECT_TRUE(prints_quoted_arguments(conversation, "x \"{\\\"약\\\": 1}\" y"));
  EXPECT_TRUE(prints_quoted_arguments(conversation, "x \"{\\\"\\uc57d\\\": 1}\" y"));
}

TEST(QuotedArguments, ObjectsAndOtherTextsAreNone) {
  EXPECT_FALSE(prints_quoted_arguments(calling_with({{"drug", "X"}}), R"("{\"drug\": \"X\"}")"));
  EXPECT_FALSE(prints_quoted_arguments(calling_with("plain"), R"(["plain"])"));
  EXPECT_FALSE(prints_quoted_arguments(calling_with(nullptr), "null"));
  EXPECT_FALSE(prints_quoted_arguments({json::array({{{"role", "user"}, {"content", "a"}}})}, "a"));
}

}  // namespace
}  // namespace lora_dist::quoted_arguments_test
