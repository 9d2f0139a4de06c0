// The columns that alpaca rows may have beside instruction, input and output.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/data/formats.h"
#include "src/data/templates.h"
#include "tests/data/load.h"

namespace lora_dist::alpaca_rows_test {
namespace {

using testing::HasSubstr;

const Row kRow{1, AlpacaRow{"i", "x", "o", "SYS", {{"h1", "a1"}, {"h2", " "}}}, 0};

struct Text {
  std::string all;      // of the pieces
  std::string trained;  // those that are, each with its end of text as $
};
Text text_of(const std::vector<Piece>& pieces) {
  Text text;
  for (const Piece& piece : pieces) {
    text.all += piece.text + (piece.end_of_text ? "$" : "");
    text.trained += piece.completion ? piece.text + (piece.end_of_text ? "$" : "") : "";
  }
  return text;
}

TEST(AlpacaRows, SystemAndHistoryComeBeforeTheInstruction) {
  const Text alpaca = text_of(render_row(kRow, RowTemplate::alpaca, ""));
  EXPECT_EQ(alpaca.all,
            "SYS\n\n### Instruction:\nh1\n\n### Response:\na1$\n\n### Instruction:\nh2\n\n### Response:\n $\n\n"
            "### Instruction:\ni\n\n### Input:\nx\n\n### Response:\no$");
  EXPECT_EQ(alpaca.trained, "a1$o$");  // an empty answer is not
  const Text plain = text_of(render_row(kRow, RowTemplate::plain, ""));
  EXPECT_EQ(plain.all, "System: SYS\nUser: h1\nAssistant: a1$\nUser: h2\nAssistant: $\nUser: i\nx\nAssistant: o$");
  EXPECT_EQ(plain.trained, " a1$ o$");
  const ChatRow chat = conversation_row(kRow);
  ASSERT_EQ(chat.messages.size(), 7U);
  EXPECT_EQ(chat.messages[0]["role"], "system");
  EXPECT_EQ(chat.messages[2]["content"], "a1");
  EXPECT_EQ(chat.messages[6]["content"], "o");
}

TEST(AlpacaRows, AreReadFromObjectsAndTables) {
  const auto row_of = [](const char* name, const std::string& content) {
    const Scratch scratch;
    scratch.write(name, content);
    return std::get<AlpacaRow>(read_dataset_file(scratch / name, std::nullopt).rows.at(0).content);
  };
  const AlpacaRow object = row_of("x.jsonl", R"({"instruction":"i","output":"o","system":"s","history":[["q","a"],["r","b"]]})");
  EXPECT_EQ(object.system, "s");
  ASSERT_EQ(object.history.size(), 2U);
  EXPECT_EQ(object.history[1].answer, "b");
  const AlpacaRow table = row_of("x.csv", "instruction,output,system,history\ni,o,,\"[[\"\"q\"\",\"\"a\"\"]]\"\n");
  EXPECT_EQ(table.system, "");
  ASSERT_EQ(table.history.size(), 1U);
  EXPECT_EQ(table.history[0].question, "q");
  EXPECT_TRUE(row_of("x.jsonl", R"({"instruction":"i","output":"o","system":null,"history":null})").history.empty());
  EXPECT_TRUE(row_of("x.csv", "instruction,output,history\ni,o,\n").history.empty());
}

TEST(AlpacaRows, TheQuestionTemplateHasNoPlaceForThem) {
  EXPECT_THAT(error_from([] { render_row(kRow, RowTemplate::qa, "x.jsonl:1"); }),
              HasSubstr("3: x.jsonl:1: \"system\" and \"history\" have no place in data.template = \"qa\""));
}

}  // namespace
}  // namespace lora_dist::alpaca_rows_test
