// Kinds of rows by non-null keys, several kinds in one file, and unsupported rows of other programs.
#include "src/data/row_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/data/formats.h"
#include "tests/data/load.h"

namespace lora_dist::row_kind_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

DatasetFile read(const std::string& name, const std::string& content, const std::string& format = "auto") {
  const Scratch folder;
  return read_dataset_file(folder.write(name, content), format_named(format));
}

std::string error_of(const std::string& content, const std::string& format = "auto") {
  return error_from([&] { read("x.jsonl", content, format); });
}

RowKind kind(const std::string& row) { return read("x.jsonl", row).rows.at(0).kind; }

TEST(RowKinds, ANullIsAbsent) {
  EXPECT_EQ(kind(R"({"messages": null, "conversations": null, "input_ids": null, "text": "a"})"), RowKind::text);
  EXPECT_EQ(kind(R"({"messages": null, "instruction": "a", "input": null, "output": "b"})"), RowKind::alpaca);
  EXPECT_EQ(kind(R"({"instruction": null, "output": null, "question": "a", "answer": "b"})"), RowKind::qa);
  EXPECT_EQ(kind(R"({"question": null, "answer": "c", "prompt": "a", "completion": "b"})"), RowKind::qa);
  EXPECT_EQ(kind(R"({"instruction": "a", "output": null, "text": "b"})"), RowKind::text);
  EXPECT_EQ(kind(R"({"text": null, "prompt": null, "messages": [{"role": "user", "content": "a", "name": null}]})"),
            RowKind::chat);
  EXPECT_EQ(kind(R"({"input_ids": [1, 2], "labels": null, "text": "a"})"), RowKind::ids);
  EXPECT_EQ(read("x.json", R"([{"messages": null, "text": "a"}])").kind, RowKind::text);
  EXPECT_THAT(error_of(R"({"text": null, "messages": null})"), HasSubstr("x.jsonl:1: a row with no keys fits no format"));
  EXPECT_THAT(error_of(R"({"text": null, "a": 1})", "text"),
              HasSubstr("\"text\" is missing; the row has 1 key that is not known"));
}

TEST(RowKinds, NullsInsideACallStay) {
  const DatasetFile file = read(
      "x.jsonl",
      R"({"messages": [{"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": null}}}]}]})");
  EXPECT_EQ(std::get<ChatRow>(file.rows[0].content).messages.dump(),
            R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":null}}}]}])");
}

TEST(RowKinds, AnEmptyFieldOfATableHasNoValue) {
  const DatasetFile file = read("x.csv", "text,question,answer\n,a,b\nc,,\n,d,\n");
  ASSERT_EQ(file.rows.size(), 3U);
  EXPECT_EQ(file.rows[0].kind, RowKind::qa);
  EXPECT_EQ(file.rows[1].kind, RowKind::text);
  EXPECT_EQ(file.rows[2].kind, RowKind::qa);  // by the columns that are there, as where all have a value
}

TEST(RowKinds, EachRowIsOfItsOwnKind) {
  const std::string rows =
      "{\"text\": \"A cat.\", \"messages\": null}\n"
      "{\"text\": null, \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": "
      "\"Yes.\"}]}\n"
      "{\"question\": \"a\", \"answer\": \"b\"}\n{\"input_ids\": [1, 2, 3]}\n";
  const Dataset dataset = load("x.jsonl", rows, without_split());
  EXPECT_EQ(dataset.train.size(), 4U);
  EXPECT_EQ(dataset.report.files[0].kind(), "chat (1), ids (1), qa (1) and text (1)");
  EXPECT_EQ(dataset.report.files[0].template_name(), "plain and qa");
  EXPECT_EQ(copy_of(dataset.train[3].input_ids), (std::vector<std::int32_t>{1, 2, 3}));
  DataOptions options = without_split();
  options.row_template = RowTemplate::qa;
  EXPECT_THAT(error_from([&] { load("x.jsonl", rows, options); }),
              HasSubstr("2: data.template = \"qa\" has one question and one answer, but the rows are chats"));
  EXPECT_THAT(error_of("{\"text\": \"a\"}\n{\"question\": \"a\", \"answer\": \"b\"}", "text"),
              HasSubstr("x.jsonl:2: \"text\" is missing"));
}

TEST(RowKinds, MarksAreLookedForInTheTextsAlone) {
  const DatasetFile file =
      read("x.jsonl", "{\"text\": \"Q: a\\nA: b\"}\n{\"question\": \"a\", \"answer\": \"b\"}\n{\"text\": \"Q: c\\nA: d\"}");
  EXPECT_EQ(file.rows[0].kind, RowKind::qa_text);
  EXPECT_EQ(file.rows[1].kind, RowKind::qa);
  EXPECT_EQ(file.rows[2].kind, RowKind::qa_text);
}

TEST(RowKinds, OtherNamesOfTheSameColumns) {
  const auto alpaca = [](const std::string& row) { return std::get<AlpacaRow>(read("x.jsonl", row).rows.at(0).content); };
  const AlpacaRow dolly = alpaca(R"({"instruction": "i", "context": "c", "response": "r", "category": "open_qa"})");
  EXPECT_EQ(dolly.instruction + dolly.input + dolly.output, "icr");
  const AlpacaRow factory = alpaca(R"({"prompt": "i", "query": "c", "response": "r", "system": "s", "history": [["q", "a"]]})");
  EXPECT_EQ(factory.instruction + factory.input + factory.output + factory.system + factory.history.at(0).answer, "icrsa");
  EXPECT_EQ(alpaca(R"({"instruction": "i", "input": "x", "output": "o", "system_prompt": "s"})").system, "s");
  const auto qa = [](const std::string& row) { return std::get<QaRow>(read("x.jsonl", row).rows.at(0).content); };
  EXPECT_EQ(qa(R"({"query": "a", "response": "b"})").answer, "b");
  EXPECT_EQ(qa(R"({"input": "a", "output": "b"})").question, "a");
  EXPECT_EQ(qa(R"({"question": "a", "response": "b"})").answer, "b");
  EXPECT_EQ(qa(R"({"inputs": "a", "targets": "b"})").answer, "b");
  const AlpacaRow orca = alpaca(R"({"system_prompt": "s", "question": "a", "response": "b"})");
  EXPECT_EQ(orca.system + orca.instruction + orca.output, "sab");
}

TEST(ForeignRows, AreSaidToBeWhatTheyAre) {
  EXPECT_THAT(error_of(R"({"chosen": "\n\nHuman: secret\n\nAssistant: a", "rejected": "b"})"),
              AllOf(HasSubstr("x.jsonl:1: preference data (chosen and rejected), which DPO, KTO and reward models learn from"),
                    Not(HasSubstr("secret"))));
  EXPECT_THAT(error_of(R"({"prompt": "a", "chosen": [], "rejected": []})"), HasSubstr("preference data (chosen and rejected)"));
  EXPECT_THAT(error_of(R"({"prompt": "a", "completion": "b", "label": false})"),
              HasSubstr("preference data (completions with a label)"));
  EXPECT_THAT(error_of(R"({"message_tree_id": "1", "prompt": {"text": "a", "role": "prompter", "replies": []}})"),
              HasSubstr("a tree of messages (OASST); give each conversation to learn"));
  EXPECT_THAT(error_of(R"({"message_id": "1", "parent_id": null, "text": "a", "role": "prompter"})"),
              HasSubstr("one message of a tree (OASST); join the messages of each conversation"));
  EXPECT_THAT(
      error_of(R"({"question": "a", "choices": ["b", "c"], "answer": 1})"),
      HasSubstr(
          "x.jsonl:1: a question with choices and without the text of an answer; write the right choice's text as \"answer\""));
  EXPECT_THAT(error_of(R"({"question": "a", "choices": {"text": ["b"]}, "answerKey": "A"})"),
              HasSubstr("a question with choices"));
  EXPECT_THAT(
      error_of(R"({"question": "a", "choices": ["b", "c"], "answer": 1})", "qa"),
      HasSubstr("a question with choices, whose \"answer\" is of type number; write the right choice's text as the answer"));
  EXPECT_THAT(error_of(R"({"context": "c", "question": "a", "answers": {"text": ["b"]}})"),
              HasSubstr("a question with \"answers\"; give one text as \"answer\""));
  EXPECT_THAT(error_of(R"({"role": "user", "content": "a"})"),
              HasSubstr("one message and not a conversation; a row is {\"messages\": [...]}"));
  EXPECT_THAT(error_of(R"({"from": "human", "value": "a"})"), HasSubstr("one message and not a conversation"));
  EXPECT_EQ(read("x.jsonl", R"({"message_id": "1", "text": "a", "role": "prompter"})", "text").rows.size(), 1U);  // as asked for
  EXPECT_EQ(kind(R"({"chosen": "a", "rejected": "b", "messages": [{"role": "user", "content": "a"}]})"), RowKind::chat);
}

}  // namespace
}  // namespace lora_dist::row_kind_test
