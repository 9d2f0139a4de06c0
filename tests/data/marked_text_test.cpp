// Marked texts: detection, and trained answers.
#include "src/data/marked_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/data/formats.h"
#include "tests/data/load.h"

namespace lora_dist::marked_text_test {
namespace {

using nlohmann::json;
using testing::ElementsAre;

std::vector<std::string> answers(RowKind kind, const std::string& text) {
  std::vector<std::string> out;
  for (const Range& range : find_answers(kind, text)) {
    out.push_back(text.substr(range.begin, range.end - range.begin));
  }
  return out;
}

TEST(MarkedText, Answers) {
  EXPECT_THAT(
      answers(RowKind::marked_text, "<|system|>s<|user|>\na</s>\n<|assistant|>\nb</s>\n<|user|>c<|assistant|>d <|tool|>e"),
      ElementsAre("\nb</s>", "d"));
  EXPECT_THAT(answers(RowKind::marked_text, "<|user|>a<|assistant|>b\n"), ElementsAre("b\n"));
  EXPECT_THAT(answers(RowKind::marked_text, "<|user|>a<|assistant|> <|user|>b<|assistant|><|assistant|>c"),
              ElementsAre("", "", "c"));
  EXPECT_THAT(answers(RowKind::qa_text, "Q: a A: b\nA: c\nd A: e\n\nQ: f\nA:g"), ElementsAre(" c\nd A: e", "g"));
  EXPECT_THAT(answers(RowKind::qa_text, "Be brief.\nQuestion: a\nAnswer: b\n"), ElementsAre(" b\n"));
  EXPECT_TRUE(answers(RowKind::qa_text, "A: b\nQ: a").empty());
  EXPECT_TRUE(answers(RowKind::marked_text, "no marks").empty());
}

std::string rows_of(const std::vector<std::string>& texts) {
  std::string rows;
  for (const std::string& text : texts) {
    rows += json{{"text", text}}.dump() + "\n";
  }
  return rows;
}

RowKind kind_of(const std::vector<std::string>& texts, const std::string& format = "auto") {
  const Scratch folder;
  return read_dataset_file(folder.write("x.jsonl", rows_of(texts)), format_named(format)).kind;
}

TEST(MarkedText, IsFoundWhereTheFirstRowsAllHaveMarks) {
  EXPECT_EQ(kind_of({"<|user|>a<|assistant|>b", "<|system|>s<|user|>a<|assistant|>b"}), RowKind::marked_text);
  EXPECT_EQ(kind_of({"Q: a\nA: b", "Question: a\nAnswer: b"}), RowKind::qa_text);
  EXPECT_EQ(kind_of({"Q: a\nA: b", "plain"}), RowKind::text);
  EXPECT_EQ(kind_of({"Q: a\nA: b", "<|user|>a<|assistant|>b"}), RowKind::text);
  EXPECT_EQ(kind_of({"Q: a\nA: b"}, "text"), RowKind::text);
  EXPECT_EQ(kind_of({"plain"}, "qa_text"), RowKind::qa_text);
  std::vector<std::string> many(20, "Q: a\nA: b");
  many.emplace_back("plain");
  EXPECT_EQ(kind_of(many), RowKind::qa_text);
}

/// The text of the trained tokens.
std::string trained(const std::vector<std::string>& texts, TrainOn train_on = TrainOn::completion) {
  DataOptions options = without_split();
  options.train_on = train_on;
  std::vector<std::int32_t> ids = first_sample(load("x.jsonl", rows_of(texts), options)).labels;
  std::erase(ids, kNotTrained);
  return decode(demo_tokenizer(), ids, false);
}

TEST(MarkedText, AnswersAndTheirEndAreTrained) {
  const std::string text = "Q: Is it?\nA: It is.";
  const TokenizedRow sample = first_sample(load("x.jsonl", rows_of({text}), without_split()));
  std::vector<std::int32_t> expected = encode(demo_tokenizer(), text, true);
  expected.push_back(2);
  EXPECT_EQ(sample.input_ids, expected);  // the text as it stands, and EOS
  EXPECT_EQ(trained({text}), "It is.</s>");
  EXPECT_EQ(trained({text + "</s>"}), "It is.</s>");
  const std::string with_bos = "<s><|user|>Is it?<|assistant|>It is.";
  EXPECT_EQ(trained({with_bos}), "It is.</s>");
  const std::vector<std::int32_t> ids = first_sample(load("x.jsonl", rows_of({with_bos}), without_split())).input_ids;
  EXPECT_EQ(ids[0], 1);
  EXPECT_NE(ids[1], 1);
  EXPECT_EQ(trained({"<|user|>a</s><|assistant|>It is.</s> <|user|>b"}), "It is.</s>");
  EXPECT_EQ(trained({"<|user|>a<|assistant|>b"}, TrainOn::all), "<|user|>a<|assistant|>b</s>");
  const Dataset dataset = load("x.jsonl", rows_of({text, text, "Q: nothing"}), [] {
    DataOptions options = without_split();
    options.format = RowKind::qa_text;
    return options;
  }());
  EXPECT_EQ(dataset.train.size(), 2U);
  EXPECT_EQ(dataset.report.files[0].dropped.at("no trained token"), 1);
  EXPECT_EQ(dataset.report.files[0].kind(), "qa_text");
}

TEST(MarkedText, EmptyAnswersTrainNothing) {
  const std::string row = rows_of({"<|user|>a<|assistant|>b</s><|user|>c<|assistant|>\n</s>\n<|user|>d<|assistant|> "});
  EXPECT_EQ(trained({"<|user|>a<|assistant|>b</s><|user|>c<|assistant|>\n</s>\n<|user|>d<|assistant|> "}), "b</s>");
  const Dataset dataset = load("x.jsonl", row + rows_of({"<|user|>a<|assistant|> </s>"}), without_split());
  EXPECT_EQ(dataset.train.size(), 1U);
  EXPECT_EQ(dataset.report.files[0].empty_answers, 2);
  EXPECT_EQ(dataset.report.files[0].dropped.at("nothing to learn: every answer is empty, or not printed by the chat template"),
            1);
  EXPECT_EQ(trained({"<|user|>a<|assistant|> "}, TrainOn::all), "<|user|>a<|assistant|> ");
}

}  // namespace
}  // namespace lora_dist::marked_text_test
