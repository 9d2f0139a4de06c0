// Containers and kinds of rows, and errors for other rows.
#include "src/data/formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/data/csv.h"
#include "tests/data/load.h"

namespace lora_dist::formats_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

DatasetFile read(const std::string& name, const std::string& content, const std::string& format = "auto") {
  const Scratch folder;
  folder.write(name, content);
  return read_dataset_file(folder / name, format_named(format));
}

std::string error_of(const std::string& name, const std::string& content, const std::string& format = "auto") {
  return error_from([&] { read(name, content, format); });
}

TEST(Formats, KindIsFoundFromTheFirstRow) {
  const auto kind = [](const std::string& row) { return read("x.jsonl", row).kind; };
  EXPECT_EQ(kind(R"({"instruction": "a", "input": "", "output": "b", "text": "x"})"), RowKind::alpaca);
  EXPECT_EQ(kind(R"({"messages": [{"role": "user", "content": "a"}]})"), RowKind::chat);
  EXPECT_EQ(kind(R"({"conversations": [{"from": "human", "value": "a"}]})"), RowKind::chat);
  EXPECT_EQ(kind(R"({"question": "a", "answer": "b"})"), RowKind::qa);
  EXPECT_EQ(kind(R"({"prompt": "a", "completion": "b"})"), RowKind::qa);
  EXPECT_EQ(kind(R"({"prompt": "a", "response": "b"})"), RowKind::qa);
  EXPECT_EQ(kind(R"({"text": "a"})"), RowKind::text);
  EXPECT_EQ(kind(R"({"text": "Q: a\nA: b"})"), RowKind::qa_text);
  EXPECT_EQ(kind(R"({"input_ids": [1], "text": "a"})"), RowKind::ids);
  EXPECT_EQ(read("x.jsonl", R"({"question": "a", "answer": "b", "text": "c"})", "text").kind, RowKind::text);
}

TEST(Formats, OnlyWantedRowsAreRead) {
  const Scratch folder;
  std::string rows;
  for (int i = 0; i < 30; ++i) {
    rows += i == 25 ? "nonsense\n" : "{\"text\": \"" + std::to_string(i) + "\"}\n\n";
  }
  const auto third = [&](const char* name, const std::string& content) {
    folder.write(name, content);
    return read_dataset_file(folder / name, std::nullopt, [](std::int64_t index) { return index % 3 == 2; });
  };
  const DatasetFile lines = third("x.jsonl", rows);
  EXPECT_EQ(lines.row_count, 30);
  ASSERT_EQ(lines.rows.size(), 10U);
  EXPECT_EQ(lines.rows[9].index, 29);
  EXPECT_EQ(lines.rows[9].number, 58);  // two lines a row, but for the one without sense
  EXPECT_EQ(std::get<TextRow>(lines.rows[0].content).text, "2");
  const DatasetFile list = third("x.json", R"([{"text": "a"}, {"text": "b"}, {"text": "c"}, {"text": "d"}])");
  EXPECT_EQ(list.row_count, 4);
  ASSERT_EQ(list.rows.size(), 1U);
  EXPECT_EQ(list.rows[0].number, 3);
  const DatasetFile table = third("x.csv", "text\na\nb\nc\n\"d\ne\"\nf\ng\n");
  EXPECT_EQ(table.row_count, 6);
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(std::get<TextRow>(table.rows[1].content).text, "g");
  const DatasetFile paragraphs = third("x.txt", "a\n\nb\n\nc\nd\n");
  EXPECT_EQ(paragraphs.row_count, 3);
  ASSERT_EQ(paragraphs.rows.size(), 1U);
  EXPECT_EQ(std::get<TextRow>(paragraphs.rows[0].content).text, "c\nd");
  EXPECT_TRUE(read_dataset_file(folder / "x.txt", std::nullopt, [](std::int64_t) { return false; }).rows.empty());
}

TEST(Formats, ContainersHoldTheSameRows) {
  const std::string row = R"({"instruction": "a, \"b\"", "input": null, "output": "c\nd"})";
  for (const auto& [name, content, container, number] :
       std::vector<std::tuple<std::string, std::string, Container, std::int64_t>>{
           {"x.jsonl", "\xEF\xBB\xBF\n" + row + "\r\n\n", Container::jsonl, 2},
           {"x.json", "\n [" + row + "]\n", Container::json, 1},
           {"x.csv", "id,instruction,output\n\n7,\"a, \"\"b\"\"\",\"c\nd\"\n", Container::csv, 3}}) {
    const DatasetFile file = read(name, content);
    EXPECT_EQ(file.container, container);
    ASSERT_EQ(file.rows.size(), 1U);
    EXPECT_EQ(file.rows[0].number, number);
    const auto& alpaca = std::get<AlpacaRow>(file.rows[0].content);
    EXPECT_EQ(alpaca.instruction, "a, \"b\"");
    EXPECT_EQ(alpaca.input, "");
    EXPECT_EQ(alpaca.output, "c\nd");
  }
}

TEST(Formats, ParagraphsOfAText) {
  const DatasetFile file = read("x.txt", "\n\none\r\ntwo\n\n \nthree\n");
  EXPECT_EQ(file.container, Container::text);
  ASSERT_EQ(file.rows.size(), 2U);
  EXPECT_EQ(std::get<TextRow>(file.rows[0].content).text, "one\ntwo");
  EXPECT_EQ(std::get<TextRow>(file.rows[1].content).text, "three");
  EXPECT_EQ(file.rows[1].number, 2);
}

TEST(Formats, CsvLinesAndQuotes) {
  const auto records = parse_csv("a,b\r\n\"x\ny\",\"\"\r\n,\n");
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[1].fields, (std::vector<std::string>{"x\ny", ""}));
  EXPECT_EQ(records[1].line, 2);
  EXPECT_EQ(records[2].line, 4);
  EXPECT_EQ(records[2].fields, (std::vector<std::string>{"", ""}));
}

TEST(Formats, TablesOfAnySeparatorAndLineEnd) {
  for (const std::string separator : {",", ";", "\t", "|"}) {
    for (const std::string end : {"\n", "\r\n", "\r", "\r\r\n"}) {
      const std::string content = "id" + separator + " question" + separator + "answer" + end + "7" + separator + "\"a" +
                                  separator + end + "\"\"b\"" + separator + "c" + end;
      const DatasetFile file = read("x.csv", content);
      ASSERT_EQ(file.rows.size(), 1U) << separator << end;
      EXPECT_EQ(std::get<QaRow>(file.rows[0].content).question, "a" + separator + end + "\"b");
      EXPECT_EQ(std::get<QaRow>(file.rows[0].content).answer, "c");
    }
  }
  const DatasetFile tabs = read("x.tsv", "instruction\toutput\nAdd, please\tFour\n");
  EXPECT_EQ(name_of(tabs.container), "TSV");
  EXPECT_EQ(std::get<AlpacaRow>(tabs.rows.at(0).content).instruction, "Add, please");
  EXPECT_EQ(read("x.tsv", "question,answer\na,b\n").kind, RowKind::qa);
  EXPECT_EQ(read("x.csv", "text\na;b\n").rows.size(), 1U);
  EXPECT_THAT(error_of("x.tsv", "question\tanswer\na\n"), HasSubstr("x.tsv:2: 1 fields, but the header has 2 columns"));
  EXPECT_EQ(parse_csv("a,b\rc,d\r\ne,f", ',').at(2).line, 3);
}

/// The kind and the content come from the same fields: those that have a value.
TEST(Formats, EmptyFieldsOfATableAreAbsent) {
  const auto alpaca = [](const std::string& content) { return std::get<AlpacaRow>(read("x.csv", content).rows.at(0).content); };
  const auto qa = [](const std::string& content, const std::string& format = "auto") {
    return std::get<QaRow>(read("x.csv", content, format).rows.at(0).content);
  };
  const std::string table = "question,answer,prompt,completion\n,,p,c\n";
  for (const char* format : {"auto", "qa"}) {
    EXPECT_EQ(qa(table, format).question, "p");
    EXPECT_EQ(qa(table, format).answer, "c");
    EXPECT_TRUE(qa(table, format).to_join);
  }
  EXPECT_EQ(alpaca("instruction,output,response\ni,,r\n").output, "r");
  EXPECT_EQ(alpaca("instruction,input,context,output\ni,,c,o\n").input, "c");
  EXPECT_EQ(alpaca("instruction,output,system,system_prompt\ni,o,,s\n").system, "s");
  EXPECT_EQ(qa("question,answer\na,\n").answer, "");  // nothing else has a value: the completion is empty
  EXPECT_EQ(load("x.csv", table, without_split()).train.size(), 1U);
}

TEST(Formats, NoFurtherRowIsLookedAtOnceTooManyAreBad) {
  const Scratch folder;
  std::string rows;
  for (int i = 0; i < 100; ++i) {
    rows += "oops\n";
  }
  const auto all = [](std::int64_t) { return true; };
  const DatasetFile file = read_dataset_file(folder.write("x.jsonl", rows), std::nullopt, all, 2);
  EXPECT_EQ(file.bad_rows.size(), 3U);
  EXPECT_EQ(file.row_count, 100);
}

/// A row whose keys match no kind is read as the kind of the first rows, which all ranks parse.
TEST(Formats, TheKindOfARowDoesNotDependOnWhichRowsAreWanted) {
  const Scratch folder;
  std::string rows;
  for (int i = 0; i < 25; ++i) {
    rows += "oops\n";
  }
  rows += "{\"text\": \"a\"}\n{\"instruction\": \"a\", \"output\": \"b\"}\n{\"prompt\": \"a\", \"output\": \"b\"}\n";
  folder.write("x.jsonl", rows);
  const auto reasons = [&](int ranks) {
    std::map<std::int64_t, std::string> out;
    for (int rank = 0; rank < ranks; ++rank) {
      const auto share = [&](std::int64_t index) { return index % ranks == rank; };
      for (const BadRow& bad : read_dataset_file(folder / "x.jsonl", std::nullopt, share, 100).bad_rows) {
        out[bad.row] = bad.reason;
      }
    }
    return out;
  };
  EXPECT_THAT(reasons(1).at(28), HasSubstr("fits no format"));
  for (const int ranks : {2, 3, 28}) {
    EXPECT_EQ(reasons(ranks), reasons(1)) << ranks;
  }
}

TEST(Formats, TablesUnderOtherNames) {
  EXPECT_EQ(read("x.CSV", "question,answer\na,b\n").container, Container::csv);
  EXPECT_EQ(read("x.txt", "question\tanswer\na\tb\n").container, Container::tsv);  // Excel's "Unicode text"
  EXPECT_EQ(read("x.txt", "question, answer\n\na, b\n").container, Container::text);
  EXPECT_EQ(read("x.txt", "text\n\tb\n").container, Container::text);
  EXPECT_EQ(read("x.txt", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n").container, Container::jsonl);
  EXPECT_EQ(read("x.txt", "{a}\n").container, Container::text);
  EXPECT_EQ(read("x.data", "id;question;answer\n1;a;b\n").container, Container::csv);
  const DatasetFile excel = read("x.csv", "sep=;\r\nquestion;answer\r\na,b;c\r\n");
  ASSERT_EQ(excel.rows.size(), 1U);
  EXPECT_EQ(std::get<QaRow>(excel.rows[0].content).question, "a,b");
  EXPECT_EQ(excel.rows[0].number, 3);
}

TEST(Formats, LinesMayEndInCrAlone) {
  EXPECT_EQ(read("x.jsonl", "{\"text\": \"a\"}\r{\"text\": \"b\"}\r").rows.at(1).number, 2);
  EXPECT_EQ(std::get<TextRow>(read("x.txt", "a\rb\r\rc").rows.at(0).content).text, "a\nb");
  EXPECT_EQ(std::get<TextRow>(read("x.txt", "a\rb\n\nc").rows.at(0).content).text, "a\rb");
}

TEST(FormatErrors, MissingAndEmptyFiles) {
  EXPECT_THAT(error_from([] { read_dataset_file("/nowhere/x.jsonl", std::nullopt); }),
              AllOf(HasSubstr("3: "), HasSubstr("/nowhere/x.jsonl")));
  for (const char* content : {"", "\n \n"}) {
    EXPECT_THAT(error_of("x.jsonl", content), AllOf(HasSubstr("3: "), HasSubstr("x.jsonl holds no rows")));
  }
  EXPECT_THAT(error_of("x.json", "[]"), HasSubstr("holds no rows"));
  EXPECT_THAT(error_of("x.csv", "question,answer\n"), HasSubstr("holds no rows"));
  EXPECT_THAT(error_of("x.txt", " \n\n"), HasSubstr("holds no rows"));
}

TEST(FormatErrors, RowsThatAreNotJson) {
  EXPECT_THAT(error_of("x.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \"secret\n"),
              AllOf(HasSubstr("3: "), HasSubstr("x.jsonl:3: the line is not JSON (at column"), Not(HasSubstr("secret"))));
  EXPECT_THAT(error_of("x.jsonl", "{\"text\": \"\xFF\"}"), HasSubstr("x.jsonl:1: the line is not JSON"));
  EXPECT_THAT(error_of("x.jsonl", "plain words"), AllOf(HasSubstr("x.jsonl:1: the line is not JSON"), Not(HasSubstr("words"))));
  EXPECT_THAT(error_of("x.jsonl", std::string(100000, '[')), HasSubstr("begins like a JSON list but is not JSON"));
  EXPECT_THAT(error_of("x.jsonl", "{\"text\": " + std::string(100000, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(error_of("x.json", "[{\"text\": \"a\"},\n{\"text\": oops}]"), HasSubstr("is not JSON (parse error at line 2"));
  EXPECT_THAT(error_of("x.jsonl", "{\"text\": \"a\"}\n[1]"),
              HasSubstr("x.jsonl:2: a row must be an object (it is of type array)"));
  EXPECT_THAT(error_of("x.json", "[3]"), HasSubstr("x.json, row 1: a row must be an object (it is of type number)"));
}

TEST(FormatErrors, RowsThatDoNotFit) {
  EXPECT_THAT(error_of("x.jsonl", R"({"a": "secret", "b": 1})"),
              AllOf(HasSubstr("x.jsonl:1: a row with 2 keys that are not known fits no format; expected instruction and output"),
                    Not(HasSubstr("secret"))));
  EXPECT_THAT(
      error_of("x.jsonl", R"({"secret": 1, "instruction": "a"})"),
      AllOf(HasSubstr("a row with the keys instruction and 1 key that is not known fits no format"), Not(HasSubstr("secret"))));
  EXPECT_THAT(error_of("x.jsonl", R"({"secret": 1, "secret": 2})"),
              AllOf(HasSubstr("x.jsonl:1: the line is not JSON (a key is given twice)"), Not(HasSubstr("secret"))));
  EXPECT_THAT(error_of("x.jsonl", R"({"instruction": "a", "output": "b", "history": [["secret", "c", "d"]]})"),
              AllOf(HasSubstr("x.jsonl:1: \"history\" must be a list of [question, answer]"), Not(HasSubstr("secret"))));
  EXPECT_THAT(error_of("x.csv", "instruction,output,history\na,b,secret\n"), HasSubstr("\"history\" must be a list"));
  EXPECT_THAT(error_of("x.jsonl", R"({"instruction": "a", "output": "b", "system": 3})"),
              HasSubstr("\"system\" must be text (it is of type number)"));
  EXPECT_THAT(error_of("x.jsonl", R"({"question": "a", "answer": "b", "system_prompt": ["c"]})"),
              HasSubstr("x.jsonl:1: \"system_prompt\" must be text (it is of type array)"));
  EXPECT_THAT(error_of("x.jsonl", R"({"messages": [{"role": "user", "content": "a"}], "system": {}})"),
              HasSubstr("x.jsonl:1: \"system\" must be text (it is of type object)"));
  EXPECT_THAT(error_of("x.jsonl", "{}"), HasSubstr("a row with no keys fits no format"));
  EXPECT_THAT(error_of("x.jsonl", "{\"instruction\": \"a\", \"output\": \"b\"}\n{\"instruction\": \"a\"}"),
              HasSubstr("x.jsonl:2: \"output\" is missing; the row has the keys instruction"));
  EXPECT_THAT(error_of("x.jsonl", R"({"instruction": "a", "output": 3})"),
              HasSubstr("\"output\" must be text (it is of type number)"));
  EXPECT_THAT(error_of("x.jsonl", "{\"question\": \"a\", \"answer\": \"b\"}\n{\"question\": \"a\"}"),
              HasSubstr("x.jsonl:2: a question or its answer is missing; the row has the keys question"));
  EXPECT_THAT(error_of("x.jsonl", R"({"question": "a", "answer": null})"),
              HasSubstr("a row with the keys question fits no format"));
  EXPECT_THAT(error_of("x.jsonl", R"({"text": "a"})", "qa"), HasSubstr("a question or its answer is missing"));
  EXPECT_THAT(error_of("x.jsonl", R"({"text": "a"})", "chat"), HasSubstr("\"messages\" is missing"));
  EXPECT_THAT(error_of("x.jsonl", R"({"text": "a"})", "ids"), HasSubstr("\"input_ids\" is missing"));
  std::string many = "{\"k0\": 1";
  for (int i = 1; i < 300; ++i) {
    many += ", \"k" + std::to_string(i) + "\": 1";
  }
  EXPECT_LT(error_of("x.jsonl", many + "}").size(), 600U);
}

TEST(FormatErrors, Ids) {
  for (const char* ids : {"3", "[1.5]", "[\"a\"]", "[18446744073709551615]"}) {
    EXPECT_THAT(error_of("x.jsonl", std::string("{\"input_ids\": ") + ids + "}"),
                HasSubstr("x.jsonl:1: \"input_ids\" must be a list of whole numbers"));
  }
}

TEST(FormatErrors, Csv) {
  EXPECT_THAT(error_of("x.csv", "question,answer\na,b\nc\n"), HasSubstr("x.csv:3: 1 fields, but the header has 2 columns"));
  EXPECT_THAT(error_of("x.csv", "question,answer\n\"a,b\n"), HasSubstr("x.csv: line 2: a quoted field never ends"));
  EXPECT_THAT(error_of("x.csv", "question,answer\n\"a\"x,b\n"), HasSubstr("line 2: text after the closing quote"));
  EXPECT_THAT(error_of("x.csv", "question,answer\n\xFF,b\n"), HasSubstr("x.csv:2: not UTF-8"));
  EXPECT_THAT(error_of("x.txt", "a\xFF"), HasSubstr("x.txt, paragraph 1: not UTF-8"));
  EXPECT_THAT(error_of("x.csv", "a,b\n1,2\n"), HasSubstr("x.csv:2: a row with 2 keys that are not known fits no format"));
}

TEST(Rows, NaNIsNothing) {
  const Dataset dataset = load("x.jsonl", R"({"question":"a","answer":"b","context":NaN,"messages":NaN})", without_split());
  EXPECT_EQ(dataset.report.files[0].kind(), "qa");
  EXPECT_EQ(dataset.train.size(), 1U);
}

}  // namespace
}  // namespace lora_dist::formats_test
