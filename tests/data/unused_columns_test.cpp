// Unused text columns are reported once per file.
#include "src/data/unused_columns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/load.h"

namespace lora_dist::unused_columns_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::set<std::string> unused(const std::string& rows) {
  return load("x.jsonl", rows, without_split()).report.files.at(0).unused_columns;
}

TEST(UnusedColumns, OfEachKind) {
  EXPECT_THAT(unused(R"({"question": "a", "answer": "b", "context": "c", "rationale": "d", "id": "e", "choices": ["b"]})"),
              ElementsAre("choices", "context", "rationale"));
  EXPECT_THAT(unused(R"({"question": "a", "answer": "b", "context": null, "hint": " ", "images": [], "cot": 3})"), IsEmpty());
  EXPECT_THAT(unused(R"({"instruction": "a", "context": "c", "response": "b", "reasoning": "d"})"), ElementsAre("reasoning"));
  EXPECT_THAT(unused(R"({"instruction": "a", "input": "x", "context": "c", "output": "b"})"), ElementsAre("context"));
  EXPECT_THAT(unused(R"({"query": "a", "response": "b", "input": "c"})"), ElementsAre("input"));
  EXPECT_THAT(unused(R"({"text": "a", "images": ["x.png"], "context": "c", "instruction": "d"})"),
              ElementsAre("context", "images"));
  EXPECT_THAT(unused(R"({"input_ids": [1, 2], "context": "a"})"), IsEmpty());
  const std::string messages = R"("messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])";
  EXPECT_THAT(unused("{" + messages + R"(, "prompt": "a", "chosen": "b", "images": ["x"], "tools": [{"name": "f"}]})"),
              ElementsAre("chosen", "images"));
}

TEST(UnusedColumns, ASystemPromptComesBeforeTheMessagesUnlessTheyHaveOne) {
  const std::string rest = R"({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";
  const Dataset dataset = load("x.jsonl", R"({"system": "s", "messages": [)" + rest, without_split());
  EXPECT_THAT(dataset.report.files[0].unused_columns, IsEmpty());
  EXPECT_EQ(
      first_sample(dataset).input_ids,
      first_sample(load("x.jsonl", R"({"messages": [{"role": "system", "content": "s"}, )" + rest, without_split())).input_ids);
  EXPECT_THAT(
      unused(R"({"system": "c", "messages": [{"role": "system", "content": "s"}, {"role": "assistant", "content": "b"}]})"),
      ElementsAre("system"));
}

TEST(UnusedColumns, WhatATemplateHasNoPlaceFor) {
  const auto notes = [](const std::string& row, const char* template_name) {
    DataOptions options = without_split();
    options.row_template = template_named(template_name);
    return load("x.jsonl", row + "\n" + row, options).report.notes;
  };
  const auto note = [](const std::string& name, const std::string& member) {
    return Contains(EndsWith("x.jsonl: the template \"" + name + "\" has no place for \"" + member +
                             "\"; data.template = \"tokenizer\" has"))
        .Times(1);
  };
  const std::string row = R"({"question": "a", "answer": "b", "system": "s", "history": [["q", "r"]]})";
  EXPECT_THAT(notes(row, "auto"), note("qa", "system"));
  EXPECT_THAT(notes(row, "raw"), note("raw", "history"));
  EXPECT_THAT(notes(row, "plain"), IsEmpty());
  const std::string chat =
      R"("messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "thinking": "c"}]})";
  EXPECT_THAT(notes(R"({"tools": [{"name": "f"}], )" + chat, "auto"),
              testing::AllOf(note("plain", "tools"), note("plain", "thinking")));
  EXPECT_THAT(notes(R"({"tools": [], )" + chat, "plain"), Not(Contains(HasSubstr("tools"))));
}

TEST(UnusedColumns, AreNotedByName) {
  const Dataset dataset = load("x.jsonl",
                               "{\"question\": \"a\", \"answer\": \"b\", \"context\": \"c\", \"my secret\": \"d\"}\n"
                               "{\"question\": \"a\", \"answer\": \"b\", \"context\": \"c\"}\n",
                               without_split());
  EXPECT_THAT(dataset.report.notes,
              Contains(EndsWith("x.jsonl: not used, though it may be part of the samples: \"context\"")).Times(1));
  EXPECT_THAT(dataset.report.notes, Not(Contains(HasSubstr("secret"))));
}

}  // namespace
}  // namespace lora_dist::unused_columns_test
