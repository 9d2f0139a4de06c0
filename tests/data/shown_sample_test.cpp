// A sample as the user reads it: its text with what is trained set apart, short at the start of a training, whole in `data`.
#include "src/data/shown_sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/data/load.h"

namespace lora_dist::shown_sample_test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

std::string row_of(const std::string& question, const std::string& answer) {
  return json{{"messages", {{{"role", "user"}, {"content", question}}, {{"role", "assistant"}, {"content", answer}}}}}.dump() +
         "\n";
}

Dataset loaded(const std::string& rows, const Tokenizer* tokenizer = &demo_tokenizer()) {
  return load("x.jsonl", rows, without_split(), tokenizer);
}

/// Without marks, and without line ends.
std::string text_of(const std::vector<ShownLine>& lines, bool trained_alone) {
  std::string text;
  for (const ShownLine& line : lines) {
    for (const ShownText& part : line) {
      text += trained_alone && !part.trained ? "" : part.text;
    }
  }
  return text;
}

TEST(ShownText, DrivesNoTerminal) {
  const Dataset dataset = loaded(row_of("a\u001b[31m \u009b31m \u202eb \u2066c", "It is."));
  EXPECT_THAT(text_of(dataset.report.shown_sample, false),
              HasSubstr("a\\x1B[31m \\xC2\\x9B31m \\xE2\\x80\\xAEb \\xE2\\x81\\xA6c"));
}

TEST(ShownText, IsTheTextWithTheTrainedPartSetApart) {
  const Dataset dataset = loaded(row_of("Is it\nso?", "It is."));
  const std::vector<ShownLine>& lines = dataset.report.shown_sample;
  const std::vector<std::int32_t> ids = copy_of(dataset.train.front().input_ids);
  std::string whole = decode(demo_tokenizer(), ids, false);
  for (std::size_t at = 0; (at = whole.find('\n', at)) != std::string::npos; at += 2) {
    whole.replace(at, 1, "\\n");
  }
  EXPECT_EQ(text_of(lines, false), whole);
  EXPECT_THAT(text_of(lines, true), HasSubstr("It is."));
  EXPECT_THAT(text_of(lines, true), testing::Not(HasSubstr("so?")));
  EXPECT_GT(lines.size(), 1U);  // a line feed ends a line
}

TEST(ShownText, EachLineHasItsOwnMarksOrColours) {
  const std::vector<ShownLine> lines = {{{"a ", false}, {"b\\n", true}}, {{"c", true}, {" d", false}}};
  EXPECT_THAT(render_shown_text(lines, SetApart::by_marks),
              ElementsAre("the first training sample (trained text in [[ ]]):", "a [[b\\n]]", "[[c]] d"));
  EXPECT_THAT(render_shown_text(lines, SetApart::by_colour),
              ElementsAre("the first training sample (trained text in green):", "a \x1b[32mb\\n\x1b[0m", "\x1b[32mc\x1b[0m d"));
}

TEST(ShownText, OfALongSampleIsItsBeginAndItsEnd) {
  std::string question;
  for (int i = 0; i < 60; ++i) {
    question += "line " + std::to_string(i) + "\n";
  }
  const Dataset dataset = loaded(row_of(question, "the very end"));
  const std::vector<ShownLine>& lines = dataset.report.shown_sample;
  EXPECT_EQ(lines.size(), kShownLines);
  EXPECT_EQ(render_shown_text(lines, SetApart::by_marks).size(), 20U);
  const std::string text = text_of(lines, false);
  EXPECT_THAT(text, HasSubstr("line 0\\n"));
  EXPECT_THAT(text, testing::Not(HasSubstr("line 30\\n")));
  EXPECT_THAT(text, testing::ContainsRegex(R"(\.\.\. [0-9]+ tokens that `lora_dist data --samples 1` shows too \.\.\.)"));
  EXPECT_THAT(text_of(lines, true), HasSubstr("the very end"));
}

TEST(ShownText, LongLinesAreFolded) {
  std::string question;
  for (int i = 0; i < 60; ++i) {
    question += "some words ";
  }
  const Dataset dataset = loaded(row_of(question, "yes"));
  EXPECT_GE(dataset.report.shown_sample.size(), 6U);
  for (const ShownLine& line : dataset.report.shown_sample) {
    EXPECT_LE(text_of({line}, false).size(), 100U);
  }
}

TEST(ShownText, WithoutATokenizerIsIds) {
  const Dataset dataset = loaded("{\"input_ids\": [1, 13, 3], \"labels\": [-100, -100, 3]}\n", nullptr);
  EXPECT_THAT(render_shown_text(dataset.report.shown_sample, SetApart::by_marks), ElementsAre(testing::_, "1 13[[ 3]]"));
}

TEST(ShowSample, GoesToTheEnd) {
  std::string question;
  for (int i = 0; i < 400; ++i) {
    question += "word ";
  }
  DataOptions options = without_split();
  options.max_length = 2000;
  const Dataset dataset = load("x.jsonl", row_of(question, "the end"), options);
  const Sample& sample = dataset.train.front();
  const std::vector<std::string> lines = show_sample(sample, &demo_tokenizer());
  EXPECT_GT(lines.size(), 400U);
  EXPECT_EQ(lines.size(), sample.input_ids.size());
}

}  // namespace
}  // namespace lora_dist::shown_sample_test
