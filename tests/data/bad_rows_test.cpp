// Skipped unreadable rows: data.bad_rows = "skip".
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/data/load.h"

namespace lora_dist::bad_rows_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

DataOptions skipping(std::int64_t most = 100) {
  DataOptions options = without_split();
  options.bad_rows = BadRows::skip;
  options.max_bad_rows = most;
  return options;
}

const std::string kRows =
    "{\"question\": \"a\", \"answer\": \"b\"}\n"
    "{\"question\": \"secret\"}\n"
    "{\"question\": \"secret\n"
    "[\"secret\"]\n"
    "{\"input_ids\": [1, 600]}\n"
    "{\"messages\": [{\"role\": \"secret\", \"content\": \"a\"}]}\n"
    "{\"secret\": 1}\n"
    "{\"question\": \"c\", \"answer\": \"d\"}\n";

TEST(BadRows, AreCountedWithTheirReasons) {
  const Dataset dataset = load("x.jsonl", kRows, skipping());
  ASSERT_EQ(dataset.train.size(), 2U);
  EXPECT_EQ(dataset.train[1].row, 8);
  EXPECT_EQ(dataset.train[1].id, 7);  // as if they were there
  const FileReport& file = dataset.report.files[0];
  EXPECT_EQ(file.rows, 8);
  EXPECT_EQ(file.kind(), "chat (1), ids (1) and qa (2)");
  std::vector<std::pair<std::int64_t, std::string>> bad;
  for (const BadRow& row : file.bad_rows) {
    bad.emplace_back(row.row, row.reason.substr(0, 40));
    EXPECT_THAT(row.reason, AllOf(Not(HasSubstr("secret")), Not(HasSubstr("x.jsonl"))));
  }
  EXPECT_EQ(bad, (std::vector<std::pair<std::int64_t, std::string>>{{2, "a question or its answer is missing; the"},
                                                                    {3, "the line is not JSON (at column 21: synt"},
                                                                    {4, "a row must be an object (it is of type a"},
                                                                    {5, "input_ids[1] is 600, outside the model's"},
                                                                    {6, "message 1: the role is none of system, u"},
                                                                    {7, "a question or its answer is missing; the"}}));
  EXPECT_THAT(render_report(dataset.report), Contains(HasSubstr("  1 row skipped: message 1: the role is none")));
}

TEST(BadRows, EndTheJobUnlessAskedOtherwise) {
  EXPECT_THAT(error_from([] { load("x.jsonl", kRows, without_split()); }),
              HasSubstr("x.jsonl:2: a question or its answer is missing"));
}

TEST(BadRows, OfTablesAndTexts) {
  const Dataset table = load("x.csv", "question,answer\na\n\xFF,b\nc,d\n", skipping());
  EXPECT_EQ(table.report.files[0].bad_rows.size(), 2U);
  EXPECT_EQ(table.train.size(), 1U);
  EXPECT_EQ(load("x.txt", "a\n\n\xFF\n", skipping()).report.files[0].bad_rows.at(0).row, 2);
  EXPECT_EQ(load("x.json", "[3, {\"text\": \"a\"}]", skipping()).report.files[0].bad_rows.at(0).row, 1);
}

TEST(BadRows, AFileThatCannotBeReadAsAWholeStaysAnError) {
  EXPECT_THAT(error_from([] { load("x.json", "[{\"text\": \"a\"}, oops]", skipping()); }),
              HasSubstr("begins like a JSON list but is not JSON"));
  EXPECT_THAT(error_from([] { load("x.csv", "question,answer\n\"a,b\n", skipping()); }), HasSubstr("a quoted field never ends"));
  EXPECT_THAT(error_from([] { load("x.parquet", "PAR1\x15", skipping()); }), HasSubstr("a Parquet file"));
}

TEST(BadRows, TooManyAreAFaultOfTheFile) {
  EXPECT_THAT(error_from([] { load("x.jsonl", kRows, skipping(5)); }),
              AllOf(HasSubstr("3: more rows are bad than data.max_bad_rows = 5 allows; one of them is "),
                    HasSubstr("x.jsonl:2: a question or its answer is missing; the row has the keys question. Fix the files, or"),
                    Not(HasSubstr("secret"))));
  EXPECT_THAT(error_from([] { load("x.json", "[3, 4]", skipping(1)); }), HasSubstr("x.json, row 1: a row must be an object"));
  EXPECT_THAT(error_from([] { load("x.txt", "\xFF\n\n\xFF\n", skipping(1)); }), HasSubstr("x.txt, paragraph 1: not UTF-8"));
  EXPECT_EQ(load("x.jsonl", kRows, skipping(6)).train.size(), 2U);
  EXPECT_EQ(load("x.jsonl", kRows, skipping(0)).train.size(), 2U);
  EXPECT_THAT(error_from([] { load("x.jsonl", "oops\n", skipping()); }), HasSubstr("x.jsonl: 1 row skipped"));
}

TEST(BadRows, AreCountedOverAllFiles) {
  const Scratch folder;
  DataOptions options = skipping(2);
  options.train = {folder.write("a.jsonl", kRows.substr(0, kRows.find("[\"secret"))), folder.write("b.jsonl", "oops\n")};
  options.validation = {folder / "not there.jsonl"};  // reading stops at the file with too many rows
  EXPECT_THAT(error_from([&] { load_dataset(options, &demo_tokenizer(), 512); }),
              AllOf(HasSubstr("data.max_bad_rows = 2 allows; one of them is "), HasSubstr("a.jsonl:2: ")));
}

TEST(BadRows, OneRowTooManyEndsTheReading) {
  std::int64_t rows_done = 0;
  const Scratch folder;
  DataOptions options = skipping(1);
  std::string rows = "{\"text\": \"a\"}\n";
  for (int i = 0; i < 5; ++i) {
    rows += "{\"input_ids\": [600]}\n";  // found bad when it is tokenized
  }
  options.train = {folder.write("x.jsonl", rows)};
  RowShare share{0, 1, [&](const TokenizingFigures& figures) { rows_done = figures.rows_done; }};
  EXPECT_THAT(error_from([&] { tokenize_rows(options, &demo_tokenizer(), 512, share); }),
              HasSubstr("data.max_bad_rows = 1 allows; one of them is "));
  EXPECT_EQ(rows_done, 2);
}

TEST(BadRows, TenReasonsAreShown) {
  FileReport file{"x.jsonl", "JSONL", false, 12};
  for (int i = 10; i < 22; ++i) {
    file.bad_rows.push_back({i, "reason " + std::to_string(i)});
  }
  DatasetReport report;
  report.files.push_back(file);
  EXPECT_THAT(render_report(report), AllOf(Contains("  1 row skipped: reason 19"), Not(Contains("  1 row skipped: reason 20")),
                                           Contains("  ... and 2 more reasons")));
  report.files[0].bad_rows.push_back({22, "reason 10"});
  EXPECT_THAT(render_report(report), Contains("  2 rows skipped: reason 10"));
}

TEST(BadRows, LongSamplesAreWhatOverlongSays) {
  DataOptions options = skipping();
  options.max_length = 4;
  options.overlong = Overlong::error;
  EXPECT_THAT(error_from([&] { load("x.jsonl", kRows, options); }), HasSubstr("more than data.max_length = 4"));
}

TEST(BadRows, ATemplatesWordsAreToldWhereTheTemplateHasThem) {
  const Scratch folder;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    folder.write(name, get_file(demo_model() / name));
  }
  folder.write(
      "chat_template.jinja",
      "{% if messages|length == 1 %}{{ raise_exception('An answer is missing') }}{% elif messages[0].content == 'secret' %}"
      "{{ raise_exception('Not ' + messages[0].content) }}{% endif %}{% for m in messages %}{{ m.content + eos_token }}{% endfor "
      "%}");
  const Tokenizer tokenizer = open_tokenizer(folder.path());
  const auto row = [](const std::string& words, bool answered) {
    return R"({"messages": [{"role": "user", "content": ")" + words + "\"}" +
           (answered ? R"(, {"role": "assistant", "content": "b"})" : "") + "]}\n";
  };
  const Dataset dataset = load("x.jsonl", row("a", true) + row("a", false) + row("secret", true), skipping(), &tokenizer);
  const auto& bad = dataset.report.files[0].bad_rows;
  ASSERT_EQ(bad.size(), 2U);
  EXPECT_THAT(bad[0].reason, HasSubstr("the chat template refuses the conversation: An answer is missing ("));
  EXPECT_EQ(bad[1].reason, "the chat template refuses the conversation");
}

TEST(BadRows, WordsOfTheTemplateForToolsAreToldTooWhereItHasThem) {
  const Scratch folder;
  folder.write("tokenizer.json", get_file(demo_model() / "tokenizer.json"));
  const std::string plain = "{% for m in messages %}{{ m.content + eos_token }}{% endfor %}";
  const std::string tools =
      "{{ raise_exception('No (more) tools') if messages[0].content == 'a' else raise_exception(messages[0].content) }}";
  folder.write(
      "tokenizer_config.json",
      nlohmann::json{{"bos_token", "<s>"},
                     {"eos_token", "</s>"},
                     {"chat_template", {{{"name", "default"}, {"template", plain}}, {{"name", "tool_use"}, {"template", tools}}}}}
          .dump());
  const Tokenizer tokenizer = open_tokenizer(folder.path());
  const auto row = [](const std::string& words, const std::string& more) {
    return R"({"messages": [{"role": "user", "content": ")" + words + R"("}, {"role": "assistant", "content": "b"}])" + more +
           "}\n";
  };
  const std::string with_tools = R"(, "tools": [{"name": "f"}])";
  const Dataset dataset = load("x.jsonl", row("a", "") + row("a", with_tools) + row("for", with_tools), skipping(), &tokenizer);
  const auto& bad = dataset.report.files[0].bad_rows;
  ASSERT_EQ(bad.size(), 2U);
  EXPECT_THAT(bad[0].reason, HasSubstr("the chat template refuses the conversation: No (more) tools ("));
  EXPECT_EQ(bad[1].reason, "the chat template refuses the conversation");  // the other template says "for"
}

}  // namespace
}  // namespace lora_dist::bad_rows_test
