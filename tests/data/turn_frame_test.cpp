// Turn frames of every kind of row.
#include "src/data/turn_frame.h"

#include <gmock/gmock.h>

#include "tests/data/load.h"

namespace lora_dist::turn_frame_test {
namespace {

using testing::HasSubstr;

std::string frame_of(const std::string& rows, const DataOptions& options = without_split(),
                     const Tokenizer* tokenizer = nullptr) {
  const Dataset dataset = tokenizer == nullptr ? load("x.jsonl", rows, options) : load("x.jsonl", rows, options, tokenizer, 1000);
  const auto& turns = dataset.report.files[0].turns;
  return turns.empty() ? "none" : turns.begin()->second;
}

TEST(TurnFrame, ShowsTheBuiltInTemplates) {
  EXPECT_EQ(frame_of(R"({"question":"a","answer":"b"})"), R"("<s> Question: " QUESTION "\nAnswer:" [" " ANSWER "</s>"])");
  EXPECT_EQ(frame_of(R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]})"),
            R"("<s> User: " QUESTION "\nAssistant:" [" " ANSWER "</s>"] "\nUser: " QUESTION "\nAssistant:" [" " ANSWER "</s>"])");
  EXPECT_THAT(frame_of(R"({"instruction":"a","output":"b"})"), HasSubstr(R"(### Response:\n" [ANSWER "</s>"])"));
  EXPECT_EQ(frame_of(R"({"text":"a"})"), R"("<s>" [" " TEXT])");
  EXPECT_EQ(frame_of(R"({"input_ids":[1,2,3]})"), "none");
  DataOptions all = without_split();
  all.train_on = TrainOn::all;
  EXPECT_EQ(frame_of(R"({"question":"a","answer":"b"})", all), R"("<s>" [" Question: " QUESTION "\nAnswer: " ANSWER "</s>"])");
}

TEST(TurnFrame, ShowsMarksInTexts) {
  EXPECT_THAT(frame_of(R"({"text":"Q: a\nA: b"})"), HasSubstr(R"(Q: " QUESTION "\nA:" [" " ANSWER "</s>"])"));
}

TEST(TurnFrame, IsPartOfTheReportWithTheReasonsOfTheSpecialTokens) {
  const Dataset dataset = load("x.jsonl", R"({"question":"a","answer":"b"})", without_split());
  const std::vector<std::string> lines = render_report(dataset.report);
  EXPECT_THAT(lines,
              testing::Contains(R"(  qa: "<s> Question: " QUESTION "\nAnswer:" [" " ANSWER "</s>"]  (trained in brackets))"));
  EXPECT_THAT(lines, testing::Contains("special tokens: <s> before a text (post_processor of tokenizer.json), nothing behind it "
                                       "(post_processor of tokenizer.json); EOS is </s>"));
}

}  // namespace
}  // namespace lora_dist::turn_frame_test
