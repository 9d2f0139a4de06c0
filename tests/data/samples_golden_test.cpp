// Ids and labels of every built-in template against Hugging Face's tokenizers (tests/golden/make_data_golden.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/data/tokenize.h"
#include "tests/data/load.h"

namespace lora_dist::samples_golden_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json golden() { return json::parse(std::ifstream(source_dir() / "tests/golden/data_samples.json")); }

/// The demo's tokenizer with <|im_start|> and <|im_end|>.
Tokenizer with_marks() {
  json document = json::parse(std::ifstream(demo_model() / "tokenizer.json"));
  const json all = golden();
  for (const json& token : all["added_tokens"]) {
    document["added_tokens"].push_back(token);
  }
  const Scratch folder;
  folder.write("tokenizer.json", document.dump());
  return open_tokenizer(folder.path());
}

TEST(SamplesGolden, IdsAndLabels) {
  const Tokenizer tokenizer = with_marks();
  const json all = golden();
  ASSERT_EQ(all["samples"].size(), 11U);
  for (const json& one : all["samples"]) {
    SCOPED_TRACE(one["name"].get<std::string>());
    DataOptions options = without_split();
    options.row_template = template_named(one["template"].get<std::string>());
    const Dataset dataset = load("x.jsonl", one["row"].dump(), options, &tokenizer, 514);
    ASSERT_EQ(dataset.train.size(), 1U);
    EXPECT_EQ(copy_of(dataset.train[0].input_ids), one["input_ids"].get<std::vector<std::int32_t>>());
    EXPECT_EQ(copy_of(dataset.train[0].labels), one["labels"].get<std::vector<std::int32_t>>());
    EXPECT_EQ(dataset.report.files[0].template_name(), one["template"].get<std::string>());
  }
}

TEST(SamplesGolden, TrainOnAllTrainsEverythingButBos) {
  const json all = golden();
  DataOptions options = without_split();
  options.train_on = TrainOn::all;
  const Dataset dataset = load("x.jsonl", all["samples"][2]["row"].dump(), options);
  const Sample& sample = dataset.train[0];
  EXPECT_EQ(sample.labels[0], kNotTrained);
  EXPECT_TRUE(std::equal(sample.labels.begin() + 1, sample.labels.end(), sample.input_ids.begin() + 1));
}

TEST(Templates, AutoFollowsTheRowsAndTheTokenizer) {
  const Tokenizer marks = with_marks();
  const Tokenizer& plain = demo_tokenizer();
  EXPECT_EQ(choose_template(std::nullopt, RowKind::alpaca, marks), RowTemplate::alpaca);
  EXPECT_EQ(choose_template(std::nullopt, RowKind::qa, marks), RowTemplate::qa);
  EXPECT_EQ(choose_template(std::nullopt, RowKind::chat, marks), RowTemplate::chatml);
  EXPECT_EQ(choose_template(std::nullopt, RowKind::chat, plain), RowTemplate::plain);
  EXPECT_EQ(choose_template(RowTemplate::qa, RowKind::text, plain), std::nullopt);
  EXPECT_EQ(choose_template(std::nullopt, RowKind::ids, plain), std::nullopt);
  EXPECT_EQ(choose_template(RowTemplate::plain, RowKind::alpaca, plain), RowTemplate::plain);
  EXPECT_EQ(choose_template(RowTemplate::tokenizer, RowKind::qa, plain), RowTemplate::tokenizer);
  EXPECT_EQ(choose_template(RowTemplate::tokenizer, RowKind::text, plain), std::nullopt);
  EXPECT_EQ(choose_template(std::nullopt, RowKind::marked_text, plain), std::nullopt);
  EXPECT_EQ(choose_template(RowTemplate::plain, RowKind::qa_text, plain), std::nullopt);
  Tokenizer chats = marks;
  chats.has_chat_template = true;
  EXPECT_EQ(choose_template(std::nullopt, RowKind::chat, chats), RowTemplate::tokenizer);
  EXPECT_EQ(choose_template(RowTemplate::chatml, RowKind::chat, chats), RowTemplate::chatml);
  EXPECT_EQ(choose_template(std::nullopt, RowKind::alpaca, chats), RowTemplate::alpaca);
}

TEST(Templates, WhatIsRefused) {
  const auto error = [](const char* name, RowKind kind) {
    return error_from([&] { choose_template(template_named(name), kind, demo_tokenizer()); });
  };
  EXPECT_THAT(error("qa", RowKind::chat), HasSubstr("has one question and one answer, but the rows are chats"));
  EXPECT_THAT(error("alpaca", RowKind::chat), HasSubstr("2: data.template = \"alpaca\""));
}

/// TRL's documentation, dataset formats: {"prompt": "The sky is", "completion": " blue."}; ids of transformers 5.24 for the whole
/// text, EOS behind it.
TEST(Templates, RawJoinsAPromptAndItsCompletionAsTheyAre) {
  DataOptions options = without_split();
  options.row_template = RowTemplate::raw;
  const TokenizedRow sample = first_sample(load("x.jsonl", R"({"prompt": "2+2=", "completion": " 4"})", options));
  EXPECT_EQ(sample.input_ids, (std::vector<std::int32_t>{1, 410, 479, 496, 479, 64, 410, 484, 2}));
  EXPECT_EQ(sample.labels, (std::vector<std::int32_t>{-100, -100, -100, -100, -100, -100, 410, 484, 2}));
  const auto error = [](RowKind kind) { return error_from([&] { choose_template(RowTemplate::raw, kind, demo_tokenizer()); }); };
  EXPECT_THAT(error(RowKind::alpaca), HasSubstr("2: data.template = \"raw\" joins a prompt and its completion as they are"));
  EXPECT_THAT(error(RowKind::chat),
              HasSubstr("2: data.template = \"raw\" has one question and one answer, but the rows are chats"));
  EXPECT_EQ(choose_template(RowTemplate::raw, RowKind::text, demo_tokenizer()), std::nullopt);
}

TEST(Templates, AnAnswerThatBringsWhiteSpaceGetsNoMore) {
  const auto ids = [](const std::string& row, const char* name) {
    DataOptions options = without_split();
    options.row_template = template_named(name);
    return first_sample(load("x.jsonl", row, options)).input_ids;
  };
  for (const char* name : {"qa", "plain"}) {
    EXPECT_EQ(ids(R"({"question": "a", "answer": " b"})", name), ids(R"({"question": "a", "answer": "b"})", name));
    EXPECT_NE(ids(R"({"question": "a", "answer": "\nb"})", name), ids(R"({"question": "a", "answer": "b"})", name));
  }
  EXPECT_EQ(render_row({1, QaRow{"a", "\nb"}}, RowTemplate::qa, "")[1].text, "\nb");
}

TEST(Templates, PromptAndCompletionAreNotedWhereTheyAreNotJoined) {
  const auto notes = [](const std::string& row, const char* name) {
    DataOptions options = without_split();
    options.row_template = template_named(name);
    return load("x.jsonl", row + "\n" + row, options).report.notes;
  };
  const auto note = testing::Contains(HasSubstr("data.template = \"raw\" joins them as they are"));
  EXPECT_THAT(notes(R"({"prompt": "a", "completion": "b"})", "auto"), note);
  EXPECT_THAT(notes(R"({"prompt": "a", "completion": "b"})", "qa"), testing::Not(note));
  EXPECT_THAT(notes(R"({"prompt": "a", "response": "b"})", "auto"), testing::Not(note));
}

TEST(Templates, EndOfTextIsNotDoubled) {
  const Dataset dataset = load("x.jsonl", R"({"question": "a", "answer": "b</s>"})", without_split());
  const auto& ids = dataset.train[0].input_ids;
  EXPECT_EQ(ids.back(), 2);
  EXPECT_NE(ids[ids.size() - 2], 2);
  EXPECT_EQ(dataset.train[0].labels.back(), 2);
}

}  // namespace
}  // namespace lora_dist::samples_golden_test
