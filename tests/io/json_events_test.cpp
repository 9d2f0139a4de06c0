// Members of a JSON document as events: the same errors and values as of a whole document.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/core/error.h"
#include "src/io/json_events.h"
#include "src/io/strict_json.h"
#include "tests/support/scratch.h"

namespace lora_dist::json_events_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Kind = JsonEvent::Kind;

/// Events as text: "1k:a" is the key a at depth 1.
JsonSink written_to(std::string& out) {
  return [&out](const JsonEvent& event) {
    if (event.depth == 0 && event.kind != Kind::object_end && event.kind != Kind::array_end) {
      out.clear();
    }
    constexpr const char* kNames[] = {"n", "b", "i", "f", "t", "k", "{", "}", "[", "]"};
    out += (out.empty() ? "" : " ") + std::to_string(event.depth) + kNames[static_cast<int>(event.kind)];
    if (event.text != nullptr) {
      out += ":" + *event.text;
    } else if (event.kind == Kind::integer || event.kind == Kind::fraction) {
      out += ":" + std::to_string(static_cast<int>(event.number * 10));
    }
  };
}

std::string error_of(std::string_view text) {
  std::string events;
  try {
    parse_json_around(text, {{"a.b", written_to(events)}});
  } catch (const JsonError& e) {
    return e.what();
  }
  return "no error";
}

TEST(JsonEvents, AMemberGoesToItsSink) {
  std::string events;
  const json rest = parse_json_around(
      R"({"x": [{"b": 1}], "b": 2, "a": {"c": [1, [2]], "b": {"k": [1, -2.5, "t", null, true], "m": {}}, "d": {"b": 3}}})",
      {{"a.b", written_to(events)}});
  EXPECT_EQ(events, "0{ 1k:k 1[ 2i:10 2f:-25 2t:t 2n 2b 1] 1k:m 1{ 1} 0}");
  EXPECT_EQ(rest, json::parse(R"({"x": [{"b": 1}], "b": 2, "a": {"c": [1, [2]], "d": {"b": 3}}})"));
}

TEST(JsonEvents, TheWholeDocumentAndSimpleValues) {
  std::string events;
  EXPECT_TRUE(parse_json_around(R"([1, "a"])", {{"", written_to(events)}}).is_null());
  EXPECT_EQ(events, "0[ 1i:10 1t:a 0]");
  EXPECT_EQ(parse_json_around(R"({"a": {"b": 7, "c": 8}})", {{"a.b", written_to(events)}}), json::parse(R"({"a": {"c": 8}})"));
  EXPECT_EQ(events, "0i:70");
  EXPECT_EQ(parse_json_around(R"([{"a": {"b": 7}}])", {{"a.b", written_to(events)}}), json::parse(R"([{"a": {"b": 7}}])"));
}

TEST(JsonEvents, ADocumentIsSentAsItWouldBeRead) {
  const json value = json::parse(R"({"k": [1, -2.5, "t", null, true], "m": {}})");
  std::string sent, read;
  send_json(value, written_to(sent));
  parse_json_around(value.dump(), {{"", written_to(read)}});
  EXPECT_EQ(sent, read);
}

TEST(JsonEvents, Errors) {
  EXPECT_THAT(error_of(R"({"a": {"b": [1, )"), HasSubstr("unexpected end of input"));
  EXPECT_THAT(error_of(R"({"a": 1, "a": 2})"), HasSubstr("the key \"a\" is given twice"));
  EXPECT_THAT(error_of(R"({"a": {"c": 1, "c": 2}})"), HasSubstr("the key \"c\" is given twice"));
  EXPECT_THAT(error_of(R"({"a": {"b": 1, "b": [2]}})"), HasSubstr("the key \"b\" is given twice"));  // the sink's
  EXPECT_THAT(error_of(std::string(80, '[')), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(error_of("{\"a\": {\"b\": " + std::string(80, '[')), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(error_of("{\"a\": \"\xFF\"}"), HasSubstr("ill-formed UTF-8"));
  EXPECT_EQ(error_of("{\"a\": {\"b\": " + std::string(62, '[') + std::string(62, ']') + "}}"), "no error");
}

/// What Python writes for numbers that JSON lacks is a text, and the sink hears of the value once more.
TEST(JsonEvents, PythonsNumbers) {
  std::string events;
  EXPECT_EQ(parse_json_around(R"({"a": {"b": [1, NaN]}, "c": Infinity})", {{"a.b", written_to(events)}}),
            json::parse(R"({"a": {}, "c": "Infinity"})"));
  EXPECT_EQ(events, "0[ 1i:10 1t:NaN 0]");
}

TEST(JsonEvents, FilesAreNamed) {
  const Scratch scratch;
  scratch.write("a.json", R"({"a": )");
  std::string events;
  const Thrown thrown = thrown_by([&] {
    read_json_file_around(scratch / "a.json", ExitCode::model, {{"a", written_to(events)}});
  });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, HasSubstr("a.json is not valid JSON: "));
}

}  // namespace
}  // namespace lora_dist::json_events_test
