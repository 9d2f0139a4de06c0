// Both spellings of a conversation, and what is said about rows that are none.
#include "src/data/chat_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/io/strict_json.h"
#include "tests/data/load.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;
using testing::HasSubstr;

ChatRow read(const std::string& row) { return read_chat_row(parse_ordered_json(row), "here"); }
std::string error_of(const std::string& row) {
  return error_from([&] { read(row); });
}

TEST(ChatRows, MessagesPassAsTheyAre) {
  const std::string messages =
      R"([{"role":"human","name":"z","content":"a"},{"role":"critic","content":[{"type":"text","text":"b"}]},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"b":1,"a":2}]}])";
  const ChatRow row = read("{\"messages\":" + messages + R"(,"tools":[{"name":"f","a":{"c":1,"b":2}}]})");
  json expected = json::parse(messages);
  expected[0]["role"] = "user";
  EXPECT_EQ(row.messages.dump(), expected.dump());
  EXPECT_EQ(row.tools.dump(), R"([{"name":"f","a":{"c":1,"b":2}}])");
  EXPECT_TRUE(read(R"({"messages":[{"role":"user","content":"a"}]})").tools.is_null());
}

TEST(ChatRows, ShareGpt) {
  const ChatRow row = read(R"({"system":"s","tools":"[{\"name\":\"f\"}]","conversations":[{"from":"human","value":"a"},
      {"from":"function_call","value":"{\"name\":\"f\",\"arguments\":{\"y\":1,\"x\":2}}"},{"from":"observation","value":"o"},
      {"from":"function_call","value":"f 1"},{"from":"tool","value":"p"},{"from":"gpt","value":"b"},{"from":"user","value":"c"},
      {"from":"assistant","value":"d"},{"from":"system","value":"e"}]})");
  EXPECT_EQ(row.messages.dump(),
            R"([{"role":"system","content":"s"},{"role":"user","content":"a"},)"
            R"({"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":{"y":1,"x":2}}}]},)"
            R"({"role":"tool","content":"o"},{"role":"assistant","content":"f 1"},{"role":"tool","content":"p"},)"
            R"({"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"},)"
            R"({"role":"system","content":"e"}])");
  EXPECT_EQ(row.tools.dump(), R"([{"name":"f"}])");
  EXPECT_TRUE(read(R"({"tools":"","conversations":[{"from":"human","value":"a"}]})").tools.is_null());
}

TEST(ChatRowErrors, Messages) {
  EXPECT_THAT(error_of(R"({"messages":[]})"), HasSubstr("3: here: messages must be a list of at least one"));
  EXPECT_THAT(error_of(R"({"messages":[3]})"), HasSubstr("here, message 1: must be an object {\"role\", \"content\"}"));
  EXPECT_THAT(error_of(R"({"conversations":[3]})"), HasSubstr("message 1: must be an object {\"from\", \"value\"}"));
  EXPECT_THAT(error_of(R"({"messages":[{"content":"a"}]})"), HasSubstr("message 1: \"role\" is missing"));
  EXPECT_THAT(error_of(R"({"messages":[{"role":"user","content":null}]})"),
              HasSubstr("\"content\" must be text (it is of type null)"));
  EXPECT_THAT(error_of(R"({"messages":[{"role":"user","content":{"a":1}}]})"), HasSubstr("\"content\" must be text"));
  EXPECT_THAT(error_of(R"({"messages":[{"role":"assistant","tool_calls":[]}]})"), HasSubstr("\"content\" is missing"));
  EXPECT_THAT(error_of(R"({"conversations":[{"from":"bing","value":"a"}]})"), HasSubstr("\"from\" is none of human, user, gpt"));
}

TEST(ChatRowErrors, Tools) {
  EXPECT_THAT(error_of(R"({"tools":"f [","messages":[{"role":"user","content":"a"}]})"),
              HasSubstr("3: here: \"tools\" is a text that is not JSON"));
  EXPECT_THAT(error_of(R"({"tools":{},"messages":[{"role":"user","content":"a"}]})"),
              HasSubstr("\"tools\" must be a list (it is of type object)"));
  EXPECT_THAT(error_of(R"({"tools":"{}","messages":[{"role":"user","content":"a"}]})"), HasSubstr("\"tools\" must be a list"));
}

}  // namespace
}  // namespace lora_dist
