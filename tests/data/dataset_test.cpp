// Loading data sets: rows of ids, lengths, dropped rows, splits, the report, the demo, and every error.
#include "src/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/data/load.h"

namespace lora_dist::dataset_test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

std::string error_of(const std::string& content, DataOptions options = without_split(),
                     const Tokenizer* tokenizer = &demo_tokenizer(), std::int64_t vocab_size = 512) {
  return error_from([&] { load("x.jsonl", content, options, tokenizer, vocab_size); });
}

TEST(Dataset, IdsAreUsedAsTheyAre) {
  const Dataset dataset = load("x.jsonl",
                               "{\"input_ids\": [5, 6, 7], \"labels\": [-100, 6, -100]}\n"
                               "{\"input_ids\": [1, 1, 511]}\n",
                               without_split(), nullptr);
  ASSERT_EQ(dataset.train.size(), 2U);
  EXPECT_EQ(copy_of(dataset.train[0].input_ids), (std::vector<std::int32_t>{5, 6, 7}));
  EXPECT_EQ(copy_of(dataset.train[0].labels), (std::vector<std::int32_t>{-100, 6, -100}));
  EXPECT_EQ(copy_of(dataset.train[1].labels), copy_of(dataset.train[1].input_ids));
  EXPECT_EQ(trained_tokens(dataset.train[1]), 2);  // the first position is not trained
  EXPECT_EQ(dataset.report.train.trained_tokens, 3);
}

TEST(Dataset, IdsRowsAndErrors) {
  EXPECT_THAT(error_of(R"({"input_ids": [1, 600]})"), HasSubstr("3: "));
  EXPECT_THAT(error_of(R"({"input_ids": [1, 600]})"),
              HasSubstr("x.jsonl:1: input_ids[1] is 600, outside the model's vocabulary of 512"));
  EXPECT_THAT(error_of(R"({"input_ids": [-1, 3]})"), HasSubstr("input_ids[0] is -1, outside"));
  EXPECT_THAT(error_of(R"({"input_ids": [1, 9223372036854775807]})"), HasSubstr("input_ids[1] is 9223372036854775807"));
  EXPECT_THAT(error_of("{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 2], \"labels\": [1]}"),
              HasSubstr("x.jsonl:2: 1 labels for 2 input_ids"));
  EXPECT_THAT(error_of(R"({"input_ids": [1, 2], "labels": [1, -1]})"),
              HasSubstr("labels[1] is -1, neither -100 nor an id of the model's vocabulary of 512"));
  EXPECT_THAT(error_of(R"({"input_ids": [1, 2], "labels": [1, 512]})"), HasSubstr("labels[1] is 512"));
  EXPECT_THAT(error_of(R"({"input_ids": []})"), HasSubstr("x.jsonl:1: input_ids is empty"));
  EXPECT_THAT(error_of(R"({"question": "a", "answer": "b"})", without_split(), &demo_tokenizer(), 300),
              AllOf(HasSubstr("3: "),
                    HasSubstr("outside the model's vocabulary of 300 tokens; are tokenizer and model of the same folder")));
}

TEST(Dataset, TextNeedsATokenizerThatCanStop) {
  EXPECT_THAT(error_of(R"({"text": "a"})", without_split(), nullptr),
              AllOf(HasSubstr("4: "), HasSubstr("holds text, but the model folder has no tokenizer")));
  Tokenizer endless = demo_tokenizer();
  endless.eos.reset();
  for (const char* row : {R"({"question": "a", "answer": "b"})", R"({"text": "Q: a\nA: b"})"}) {
    EXPECT_THAT(error_of(row, without_split(), &endless), AllOf(HasSubstr("4: "), HasSubstr("has no end-of-text token")));
  }
  EXPECT_EQ(error_of(R"({"text": "a"})", without_split(), &endless), "no error");  // a text gets no end
}

TEST(Dataset, Overlong) {
  const std::string rows =
      "{\"input_ids\": [1, 2, 3, 4]}\n{\"input_ids\": [1, 2, 3, 4, 5, 6]}\n"
      "{\"input_ids\": [1, 2, 3, 4, 5, 6], \"labels\": [-100, -100, -100, -100, -100, 6]}\n";
  DataOptions options = without_split();
  options.max_length = 4;
  const Dataset cut = load("x.jsonl", rows, options);
  ASSERT_EQ(cut.train.size(), 2U);
  EXPECT_EQ(copy_of(cut.train[1].input_ids), (std::vector<std::int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(cut.train[1].labels.size(), 4U);
  EXPECT_EQ(cut.report.files[0].truncated, 2);
  EXPECT_EQ(cut.report.files[0].dropped.at("no trained token within data.max_length"), 1);
  options.overlong = Overlong::drop;
  const Dataset dropped = load("x.jsonl", rows, options);
  EXPECT_EQ(dropped.train.size(), 1U);
  EXPECT_EQ(dropped.report.files[0].dropped.at("longer than data.max_length"), 2);
  options.overlong = Overlong::error;
  EXPECT_THAT(error_of(rows, options),
              AllOf(HasSubstr("3: "), HasSubstr("x.jsonl:2: 6 tokens, more than data.max_length = 4; raise it")));
}

TEST(Dataset, SamplesThatTrainNothing) {
  const Dataset dataset =
      load("x.jsonl", "{\"input_ids\": [1, 2], \"labels\": [1, -100]}\n{\"input_ids\": [1, 2]}\n{\"input_ids\": [7]}\n",
           without_split());
  ASSERT_EQ(dataset.train.size(), 1U);
  EXPECT_EQ(dataset.train[0].id, 1);  // dropped rows keep their numbers
  EXPECT_EQ(dataset.train[0].row, 2);
  EXPECT_EQ(dataset.report.files[0].dropped.at("no trained token"), 2);
  EXPECT_THAT(error_of("{\"input_ids\": [1, 2], \"labels\": [1, -100]}"),
              AllOf(HasSubstr("3: no training sample has a token to train on"), HasSubstr("1 x no trained token"),
                    HasSubstr("data.template"), HasSubstr("data.train_on"), HasSubstr("first position never trains")));
  EXPECT_THAT(error_of(R"({"messages": [{"role": "user", "content": "a"}]})"), HasSubstr("no training sample has a token"));
  EXPECT_THAT(error_of(R"({"question": "a", "answer": " \n"})"), HasSubstr("1 x nothing to learn: the completion is empty"));
}

TEST(Dataset, OptionsOutOfRange) {
  const std::string row = R"({"text": "a"})";
  const auto error = [&](const std::function<void(DataOptions&)>& edit) {
    DataOptions options = without_split();
    edit(options);
    return error_of(row, options);
  };
  EXPECT_THAT(error([](auto& o) { o.max_length = 1; }), HasSubstr("2: data.max_length must be at least 2 (got 1)"));
  EXPECT_THAT(error([](auto& o) { o.validation_split = 1.0; }), HasSubstr("2: data.validation_split must be"));
  EXPECT_THAT(error([](auto& o) { o.validation_split = std::nan(""); }), HasSubstr("2: data.validation_split must be"));
  EXPECT_THAT(error_from([] { load_dataset({}, nullptr, 512); }), HasSubstr("3: data.train names no file"));
}

std::string numbered_rows(int n) {
  std::string rows;
  for (int i = 0; i < n; ++i) {
    rows += "{\"input_ids\": [1, " + std::to_string(i % 500) + "]}\n";
  }
  return rows;
}

std::set<std::int64_t> ids_of(const std::vector<Sample>& samples) {
  std::set<std::int64_t> ids;
  for (const Sample& sample : samples) {
    ids.insert(sample.id);
  }
  return ids;
}

TEST(Dataset, SplitIsDisjointAndRepeatable) {
  DataOptions options;
  options.validation_split = 0.1;
  const Dataset a = load("x.jsonl", numbered_rows(205), options);
  const Dataset b = load("x.jsonl", numbered_rows(205), options);
  EXPECT_EQ(a.validation.size(), 21U);  // 20.5, rounded
  EXPECT_EQ(a.train.size(), 184U);
  EXPECT_EQ(ids_of(a.validation), ids_of(b.validation));
  std::set<std::int64_t> all = ids_of(a.train);
  all.merge(ids_of(a.validation));
  EXPECT_EQ(all.size(), 205U);
  EXPECT_TRUE(std::is_sorted(a.train.begin(), a.train.end(), [](const auto& x, const auto& y) { return x.id < y.id; }));
  for (const Sample& sample : a.validation) {
    EXPECT_EQ(sample.row, sample.id + 1);
  }
  options.seed = 43;
  EXPECT_NE(ids_of(load("x.jsonl", numbered_rows(205), options).validation), ids_of(a.validation));
}

TEST(Dataset, SplitThatLeavesNothing) {
  const Dataset dataset = load("x.jsonl", numbered_rows(9));
  EXPECT_TRUE(dataset.validation.empty());
  EXPECT_THAT(dataset.report.notes, Contains(HasSubstr("data.validation_split leaves none of 9 samples")));
  DataOptions options;
  options.validation_split = 0.99;
  EXPECT_EQ(load("x.jsonl", numbered_rows(3), options).train.size(), 1U);  // never all
}

TEST(Dataset, ValidationFilesReplaceTheSplit) {
  const Scratch folder;
  folder.write("a.jsonl", numbered_rows(30));
  folder.write("b.jsonl", numbered_rows(5));
  DataOptions options;
  options.train = {folder / "a.jsonl", folder / "b.jsonl"};
  options.validation = {folder / "b.jsonl"};
  const Dataset dataset = load_dataset(options, nullptr, 512);
  EXPECT_EQ(dataset.train.size(), 35U);
  EXPECT_EQ(dataset.validation.size(), 5U);
  EXPECT_EQ(dataset.train[30].file, 1);
  EXPECT_EQ(dataset.train[30].row, 1);
  EXPECT_EQ(dataset.validation[0].id, 35);
  EXPECT_EQ(dataset.validation[0].file, 2);
  folder.write("b.jsonl", "{\"input_ids\": [1]}");
  options.train = {folder / "a.jsonl"};
  EXPECT_THAT(error_from([&] { load_dataset(options, nullptr, 512); }),
              HasSubstr("3: no validation sample has a token to train on"));
  options.validation = {folder / "c.jsonl"};
  EXPECT_THAT(error_from([&] { load_dataset(options, nullptr, 512); }), AllOf(HasSubstr("3: "), HasSubstr("c.jsonl")));
}

TEST(Dataset, NotesOnTemplates) {
  const Tokenizer& tokenizer = demo_tokenizer();
  const std::string row = R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";
  DataOptions options = without_split();
  options.row_template = RowTemplate::chatml;
  EXPECT_THAT(load("x.jsonl", row, options, &tokenizer).report.notes, Contains(HasSubstr("has no token <|im_end|>")));
  EXPECT_THAT(load("x.jsonl", row, without_split()).report.notes, IsEmpty());
}

TEST(Dataset, Report) {
  DataOptions options = without_split();
  options.max_length = 100;
  const Dataset dataset =
      load("x.jsonl",
           "{\"input_ids\": [1, 13, 3], \"labels\": [-100, -100, 3]}\n{\"input_ids\": [1, 2, 3, 4, 5]}\n{\"input_ids\": [1]}\n",
           options);
  const SetReport& train = dataset.report.train;
  EXPECT_EQ(train.samples, 2);
  EXPECT_EQ(train.tokens, 8);
  EXPECT_EQ(train.trained_tokens, 5);
  EXPECT_EQ(train.length_percentiles, (std::array<std::int64_t, 4>{3, 5, 5, 5}));
  const std::vector<std::string> lines = render_report(dataset.report);
  EXPECT_THAT(lines, Contains(HasSubstr("x.jsonl: 3 rows, JSONL, format ids, no template")));
  EXPECT_THAT(lines, Contains("  1 dropped: no trained token"));
  EXPECT_THAT(lines,
              Contains("train: 2 samples, 8 tokens, 5 trained (62.5 %); length: median 3, 90th percentile 5, 99th 5, longest 5"));
  EXPECT_THAT(lines, Contains("the first training sample (trained text in [[ ]]):"));
  EXPECT_THAT(lines, Contains("<s>\\n"));
  EXPECT_THAT(lines, Contains("[[\\x00]]"));
}

TEST(Dataset, TheDemo) {
  DataOptions options;
  options.train = {source_dir() / "demo/medquad/train.jsonl"};
  options.validation = {source_dir() / "demo/medquad/validation.jsonl"};
  options.max_length = 512;
  options.overlong = Overlong::error;  // every sample fits the model's positions
  const Dataset dataset = load_dataset(options, &demo_tokenizer(), 512);
  EXPECT_EQ(dataset.train.size(), 2400U);
  EXPECT_EQ(dataset.validation.size(), 240U);
  EXPECT_EQ(dataset.report.files[0].kind(), "qa");
  EXPECT_EQ(dataset.report.files[0].template_name(), "qa");
  EXPECT_TRUE(dataset.report.notes.empty());
  std::set<std::vector<std::int32_t>> train;
  for (const Sample& sample : dataset.train) {
    train.insert(copy_of(sample.input_ids));
    EXPECT_EQ(sample.input_ids.front(), 1);
    EXPECT_EQ(sample.labels.back(), 2);
  }
  EXPECT_EQ(train.size(), 2400U);
  for (const Sample& sample : dataset.validation) {
    EXPECT_FALSE(train.contains(copy_of(sample.input_ids)));
  }
}

}  // namespace
}  // namespace lora_dist::dataset_test
