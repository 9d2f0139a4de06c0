// Both formats of conversations, and errors for other rows.
#include "src/data/chat_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/io/strict_json.h"
#include "tests/data/load.h"

namespace lora_dist::chat_rows_test {
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
  expected[2].erase("content");  // null is absent
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

TEST(ChatRows, NamesOfOtherPrograms) {
  const auto roles = [](const std::string& row) {
    std::string out;
    for (const json& message : read(row).messages) {
      out += message["role"].get<std::string>() + ":" + message.value("content", "-") + " ";
    }
    return out;
  };
  EXPECT_EQ(
      roles(R"({"messages":[{"from":"human","value":"a"},{"from":"model","value":"b"},{"from":"observation","value":"c"}]})"),
      "user:a assistant:b tool:c ");
  EXPECT_EQ(
      roles(R"({"conversations":[{"role":"user","content":"a"},{"role":"gpt","content":"b"},{"role":"ipython","content":"c"}]})"),
      "user:a assistant:b ipython:c ");
  EXPECT_EQ(
      roles(R"({"conversations":[{"from":"bot","value":"a"},{"from":"chatgpt","value":"b"},{"from":"developer","value":"c"},)"
            R"({"from":"function_response","value":"d"},{"from":"ipython","value":"e"},{"from":"tool_response","value":"f"}]})"),
      "assistant:a assistant:b developer:c tool:d tool:e tool:f ");
  EXPECT_EQ(roles(R"({"messages":[{"role":"model","content":"a"},{"role":"function","name":"f","content":"b"}]})"),
            "assistant:a tool:b ");
  EXPECT_EQ(roles(R"({"data":["a","b","c"],"id":"1"})"), "user:a assistant:b user:c ");
  EXPECT_EQ(roles(R"({"conversations":["a","b"],"source":"x"})"), "user:a assistant:b ");
  EXPECT_EQ(roles(R"({"conversation":[{"role":"user","content":"a"}]})"), "user:a ");
  EXPECT_EQ(roles(R"({"conversations":[{"from":"User","value":"a"},{"from":"Assistant","value":"b"}],"mask":"User"})"),
            "user:a assistant:b ");
  EXPECT_EQ(roles(R"({"prompt":[{"role":"user","content":"a"}],"completion":[{"role":"assistant","content":"b"}]})"),
            "user:a assistant:b ");
}

TEST(ChatRows, OlderCallsOfFunctions) {
  const ChatRow row =
      read(R"({"functions":[{"name":"f"}],"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,)"
           R"("function_call":{"name":"f","arguments":"{\"x\": null}"}},{"role":"function","name":"f","content":"1"}]})");
  EXPECT_EQ(row.tools.dump(), R"([{"type":"function","function":{"name":"f"}}])");
  EXPECT_EQ(row.messages[1].dump(),
            R"({"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":"{\"x\": null}"}}]})");
  EXPECT_EQ(row.messages[2]["role"], "tool");
}

TEST(ChatRows, ReasoningAloneIsAnAnswer) {
  EXPECT_EQ(read(R"({"messages":[{"role":"assistant","content":null,"reasoning_content":"a"}]})").messages.size(), 1U);
}

TEST(ChatRowErrors, Messages) {
  EXPECT_THAT(error_of(R"({"messages":[]})"), HasSubstr("3: here: messages must be a list of at least one"));
  EXPECT_THAT(error_of(R"({"messages":[3]})"), HasSubstr("here, message 1: must be an object {\"role\", \"content\"}"));
  EXPECT_THAT(error_of(R"({"conversations":[3]})"), HasSubstr("or {\"from\", \"value\"}"));
  EXPECT_THAT(error_of(R"({"messages":[{"content":"a"}]})"), HasSubstr("message 1: \"role\" is missing"));
  EXPECT_THAT(error_of(R"({"messages":[{"role":"user","content":null}]})"), HasSubstr("message 1: \"content\" is missing"));
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
}  // namespace lora_dist::chat_rows_test
