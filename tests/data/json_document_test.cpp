// .json files other than a list of rows.
#include "src/data/json_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/data/formats.h"
#include "tests/data/load.h"

namespace lora_dist::json_document_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

DatasetFile read(const std::string& content) {
  const Scratch folder;
  return read_dataset_file(folder.write("x.json", content), std::nullopt);
}

std::string error_of(const std::string& content) {
  return error_from([&] { read(content); });
}

TEST(JsonDocument, RowsAreFound) {
  for (const char* content : {R"({"data": [{"text": "a"}, {"text": "b"}]})",
                              "{\n \"version\": 1,\n \"rows\": [{\"text\": \"a\"},\n {\"text\": \"b\"}]}",
                              "[\n{\"text\": \"a\"},\n{\"text\": \"b\"}\n]"}) {
    const DatasetFile file = read(content);
    EXPECT_EQ(file.container, Container::json) << content;
    ASSERT_EQ(file.rows.size(), 2U) << content;
    EXPECT_EQ(std::get<TextRow>(file.rows[1].content).text, "b");
    EXPECT_EQ(file.rows[1].number, 2);
  }
  const DatasetFile one = read("{\n  \"question\": \"a\",\n  \"answer\": \"b\"\n}\n");
  ASSERT_EQ(one.rows.size(), 1U);
  EXPECT_EQ(one.kind, RowKind::qa);
  EXPECT_EQ(read("{\"text\": \"a\"}\n").container, Container::jsonl);
  EXPECT_EQ(read("{\"text\": \"a\"}\r{\"text\": \"b\"}").rows.size(), 2U);  // lines that end in CR alone
  EXPECT_EQ(read(R"({"conversation": [{"role": "user", "content": "a"}]})").kind, RowKind::chat);
  EXPECT_EQ(read(R"({"data": ["Hi", "Yes."]})").kind, RowKind::chat);  // a row with a list
}

TEST(JsonDocument, WhatHasNoRowsIsNamed) {
  EXPECT_THAT(error_of(R"({"prompt": "a", "chosen": [{"role": "user", "content": "a"}], "rejected": []})"),
              HasSubstr("x.json:1: preference data"));
  EXPECT_THAT(error_of("[{\"role\": \"user\", \"content\": \"a\"}]"),
              HasSubstr("x.json, row 1: one message and not a conversation"));
  EXPECT_THAT(
      error_of(R"({"train": [{"text": "secret"}], "test": [{"text": "b"}]})"),
      AllOf(HasSubstr("3: "), HasSubstr("x.json holds 2 lists of rows; give each a file of its own"), Not(HasSubstr("secret"))));
  EXPECT_THAT(error_of(R"({"alpaca": {"file_name": "alpaca.json", "columns": {"prompt": "instruction"}}})"),
              HasSubstr("x.json is a list of data sets (LLaMA-Factory's dataset_info.json) and not data"));
  EXPECT_THAT(error_of("{\n\"alpaca\": {\"hf_hub_url\": \"a/b\"}}"), HasSubstr("LLaMA-Factory's dataset_info.json"));
  EXPECT_THAT(error_of(R"({"citation": "", "features": {"text": {}}, "splits": {}})"), HasSubstr("x.json describes a data set"));
  EXPECT_THAT(error_of("{\n\"splits\": [\"train\"]}"), HasSubstr("x.json describes a data set"));
  EXPECT_THAT(error_of("{\"question\":\n {\"0\": \"a\", \"1\": \"b\"}, \"ans\": {\"0\": \"c\", \"1\": \"d\"}}"),
              HasSubstr("x.json holds columns and not rows; pandas writes rows with to_json(..., orient='records', lines=True)"));
  EXPECT_THAT(
      error_of("{\n\"text\": \"a\"\n}\n{\n\"text\": \"b\"\n}"),
      HasSubstr("x.json:1: the line is not JSON (at column 2: syntax error while parsing object key - unexpected end of input; "
                "expected "
                "string literal); a dataset has one object per line, the whole object on that line, or is a list of objects"));
}

}  // namespace
}  // namespace lora_dist::json_document_test
