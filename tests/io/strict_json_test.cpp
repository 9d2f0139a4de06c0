// Strict JSON: rejected texts and their messages.
#include "src/io/strict_json.h"

#include <gmock/gmock.h>

#include <vector>

#include "tests/support/scratch.h"

namespace lora_dist::strict_json_test {
namespace {

using testing::HasSubstr;

std::string problem_of(const std::string& text) {
  try {
    parse_strict_json(text);
  } catch (const JsonError& e) {
    return e.what();
  }
  return "none";
}

TEST(StrictJson, AcceptsWhatTheLibraryAccepts) {
  const std::string text = R"({"a":[1,2.5,{"b":null}],"c":{"b":"ü"}})";
  EXPECT_EQ(parse_strict_json(text), nlohmann::json::parse(text));
}

TEST(StrictJson, SaysWhatIsWrong) {
  EXPECT_THAT(problem_of(R"({"a":1,})"), HasSubstr("line 1, column 8"));
  EXPECT_EQ(problem_of(R"({"a":{"b":1,"c":2,"b":3}})"), "the key \"b\" is given twice");
  EXPECT_EQ(problem_of(R"({"b":1,"a":{"b":1}})"), "none");  // the same key at another level
  EXPECT_EQ(problem_of(std::string(100'000, '[')), "nested deeper than 64 levels");
  EXPECT_THAT(problem_of("\"\xff\""), HasSubstr("ill-formed UTF-8"));
  EXPECT_THAT(problem_of("1e999"), HasSubstr("number overflow"));
  EXPECT_NE(problem_of(""), "none");
  EXPECT_NE(problem_of("{} x"), "none");
  EXPECT_LE(problem_of("\"" + std::string(1'000'000, 'x')).size(), 300U);
}

TEST(JsonMembers, ArriveOneByOne) {
  std::vector<std::string> seen;
  parse_json_members(R"({"a":1,"b":[1,{"x":2}],"c":{"d":{"e":3}},"f":null,"g":{}})",
                     [&](const std::string& key, const nlohmann::json& value) { seen.push_back(key + "=" + value.dump()); });
  EXPECT_THAT(seen, testing::ElementsAre("a=1", "b=[1,{\"x\":2}]", "c={\"d\":{\"e\":3}}", "f=null", "g={}"));
  const auto ignore = [](const std::string&, const nlohmann::json&) {};
  for (const char* text : {"[1]", "1", "\"a\"", "null", "[]"}) {
    EXPECT_THROW(parse_json_members(text, ignore), JsonError) << text;
  }
  EXPECT_THROW(parse_json_members(R"({"a":1,"a":1})", ignore), JsonError);
}

TEST(ReadJsonFile, NamesTheFile) {
  const Scratch scratch;
  put_file(scratch / "x.json", "{");
  const Thrown error = thrown_by([&] { read_json_file(scratch / "x.json", ExitCode::data); });
  EXPECT_EQ(error.code, ExitCode::data);
  EXPECT_THAT(error.message, HasSubstr((scratch / "x.json").string() + " is not valid JSON: "));
  std::filesystem::resize_file(scratch / "x.json", (std::uintmax_t{256} << 20) + 1);  // sparse
  EXPECT_THAT(thrown_by([&] { read_json_file(scratch / "x.json", ExitCode::data); }).message, HasSubstr("larger than 256 MiB"));
}

/// json.dump of Python writes these three, and json.load reads them.
TEST(ReadJsonFile, TakesPythonsNumbersAsTexts) {
  const Scratch scratch;
  const auto file = scratch.write("x.json", R"({"a":Infinity,"b":[-Infinity,NaN],"c":"Infinity and \"NaN\"","d":1})");
  EXPECT_EQ(read_json_file(file, ExitCode::model),
            nlohmann::json::parse(R"({"a":"Infinity","b":["-Infinity","NaN"],"c":"Infinity and \"NaN\"","d":1})"));
  EXPECT_EQ(read_ordered_json_file(file, ExitCode::model)["a"], "Infinity");
  put_file(file, R"({"a":Infinit})");
  EXPECT_THAT(thrown_by([&] { read_json_file(file, ExitCode::model); }).message, HasSubstr("is not valid JSON"));
  EXPECT_THAT(problem_of(R"({"a":NaN})"), HasSubstr("line 1"));  // data is JSON as it is meant
}

/// pandas and json.dump write NaN for what is missing.
TEST(ParsePythonRow, TakesNaNForNull) {
  EXPECT_EQ(parse_python_row(R"({"a":NaN,"b":"NaN","c":[-Infinity,1]})"),
            nlohmann::json::parse(R"({"a":null,"b":"NaN","c":[null,1]})"));
  EXPECT_THROW(parse_python_row(R"({"a":Nan})"), JsonError);
}

}  // namespace
}  // namespace lora_dist::strict_json_test
